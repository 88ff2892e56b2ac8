import * as fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { InviteRow } from "./invite-row.ts";
import { fromMirrorRequest, fromState, toMirrorRequest } from "./mirror-request.ts";
import { arbitraryRow } from "./testing/arbitrary-row.ts";
import { createInvitesDatabase, type InvitesDatabase } from "./testing/invites-database.ts";

let invites: InvitesDatabase;
beforeAll(async () => {
  invites = await createInvitesDatabase();
});
afterAll(() => invites[Symbol.asyncDispose]());

it(
  "what PostgreSQL has of a row goes to the mirror and back without a change",
  { timeout: 60_000 },
  async () => {
    const { sql } = invites.database;
    const property = fc.asyncProperty(arbitraryRow, async (row) => {
      await sql`DELETE FROM assistant_ingress_invites`;
      await insert(row);
      const [found] = await sql<{ state: string; updated: string }>`
      SELECT to_jsonb(i)::text AS state, updated_at AS updated FROM assistant_ingress_invites i`;
      const { state = "", updated = "" } = found ?? {};
      expect(fromState(state, row.version)).toEqual(row);
      const item = { id: row.id, version: row.version, state, updatedAt: updated };
      const arrived = fromMirrorRequest(toMirrorRequest(item, "assistant-1"));
      const [compared] = await sql<{ same: boolean }>`
      SELECT ${arrived.state ?? ""}::jsonb = to_jsonb(i) AS same FROM assistant_ingress_invites i`;
      expect(compared?.same).toBe(true);
    });
    await fc.assert(property, { numRuns: 200 });
  },
);

async function insert(row: InviteRow): Promise<void> {
  const columns = Object.entries(row);
  const names = columns.map(([name]) => name).join(", ");
  const places = columns.map((_, index) => `$${index + 1}`).join(", ");
  await invites.database.run({
    text: `INSERT INTO assistant_ingress_invites (${names}) VALUES (${places})`,
    values: columns.map(([, value]: readonly [string, unknown]) =>
      typeof value === "bigint" ? String(value) : value,
    ),
    prepare: true,
  });
}
