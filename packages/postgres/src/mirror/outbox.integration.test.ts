import { runSql } from "@tandem/testkit";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { createMirroredPair, type MirroredPair } from "../testing/mirrored-pair.ts";
import { createOutbox, type Outbox } from "./outbox.ts";

const [one, two] = ["01990000-0000-7000-8000-000000000001", "01990000-0000-7000-8000-000000000002"] as const;
const tag = "01990000-0000-7000-8000-0000000000b1";

let pair: MirroredPair;
let outbox: Outbox;
beforeAll(async () => {
  pair = await createMirroredPair("outbox_test");
  outbox = createOutbox(pair.east.database);
});
beforeEach(async () => {
  await pair.east.clear();
  await runSql(
    pair.east.url,
    `INSERT INTO notes (id, title) VALUES ('${one}', 'one'), ('${two}', 'two');
     INSERT INTO tags (id, note_id, name) VALUES ('${tag}', '${one}', 't')`,
  );
});
afterAll(() => pair[Symbol.asyncDispose]());

const left = async (): Promise<unknown> => {
  const rows = await runSql(pair.east.ownerUrl, "SELECT id::text, refusal FROM tandem.outbox ORDER BY id");
  return rows.map(({ id, refusal }) => (refusal === null ? id : [id, refusal]));
};
const brought = [one, two].map((id) => ({ id, version: 1n }));
const parking = { refusal: "no such note", awaits: one, forMs: 60_000 };

it("waits for no writer: what is changing stays, and the rest is struck off", async () => {
  await pair.east.database.transaction(async ({ sql }) => {
    await sql`UPDATE notes SET title = 'changed' WHERE id = ${one}`;
    await outbox.postpone("note", brought, 60_000);
    await outbox.park("note", { id: one, version: 1n }, parking);
    await outbox.delivered("note", brought);
    expect(await left()).toEqual([one, tag]);
  });
  const taken = await outbox.take("note", { limit: 10, leaseMs: 1_000 });
  expect(taken).toMatchObject([{ id: one, version: 2n, refusal: undefined }]);
});

it("strikes nothing off until what awaits it is released, though a writer holds that and then gives up", async () => {
  await outbox.park("tag", { id: tag, version: 1n }, parking);
  const rolledBack = pair.east.database.transaction(async ({ sql }) => {
    await sql`UPDATE tags SET name = 'changed'`;
    await outbox.delivered("note", brought);
    throw new Error("given up");
  });
  await expect(rolledBack).rejects.toThrow("given up");
  expect(await left()).toEqual([one, [tag, "no such note"]]);
  await outbox.delivered("note", brought);
  expect(await left()).toEqual([tag]);
});
