import * as fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { fromMirrorRequest, fromState, toMirrorRequest, toState } from "./mirror-request.ts";
import { arbitraryRow } from "./testing/arbitrary-row.ts";
import { createInvitesDatabase, type InvitesDatabase } from "./testing/invites-database.ts";

let invites: InvitesDatabase;
beforeAll(async () => {
  invites = await createInvitesDatabase("mirror_request_test");
  await invites.decides("the other one");
});
afterAll(() => invites[Symbol.asyncDispose]());

it(
  "what PostgreSQL has of a row goes to the mirror and back without a change",
  { timeout: 60_000 },
  async () => {
    const { sql } = invites.database;
    const property = fc.asyncProperty(arbitraryRow, async (row) => {
      await invites.clear();
      await sql`SELECT mirror.apply_invite(${row.id}, ${row.version}, ${toState(row)})`;
      const [item] = await sql<{ state: string; updatedAt: string }>`
      SELECT state::text, updated_at AS "updatedAt" FROM mirror.read_invite(${[row.id]})`;
      const { state = "", updatedAt = "" } = item ?? {};
      expect(fromState(state, row.version)).toEqual(row);
      const { id, version } = row;
      const arrived = fromMirrorRequest(toMirrorRequest({ id, version, state, updatedAt }, "assistant-1"));
      const [compared] = await sql<{
        same: boolean;
      }>`SELECT ${arrived.state ?? ""}::jsonb = ${state}::jsonb AS same`;
      expect(compared?.same).toBe(true);
    });
    await fc.assert(property, { numRuns: 200 });
  },
);
