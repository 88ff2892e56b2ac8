import { HandlerError } from "@tandem/rpc";
import { runSql } from "@tandem/testkit";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { createDatabase, type Database } from "../create-database.ts";
import { createMirroredPair, type MirroredPair } from "../testing/mirrored-pair.ts";
import { applyMirrored, type BroughtItem } from "./apply-mirrored.ts";

const idOf = (number: number): string => `01990000-0000-7000-8000-${String(number).padStart(12, "0")}`;
const [note, unknown] = [idOf(1), idOf(2)];

let pair: MirroredPair;
let database: Database;
beforeAll(async () => {
  pair = await createMirroredPair("apply_mirrored_test");
  // What one statement leaves behind on a connection, the next one meets.
  database = createDatabase({ url: pair.west.url, applicationName: "test-one-connection", poolSize: 1 });
});
beforeEach(async () => {
  await pair.west.clear();
  await applyMirrored(database, "note", [itemOf(note, { title: "one", note_lines: [] })]);
});
afterAll(async () => {
  await database.close();
  await pair[Symbol.asyncDispose]();
});

function itemOf(id: string, columns: object, version = 1n): BroughtItem {
  return { id, version, state: JSON.stringify({ ...columns, updated_at: "2026-01-02T03:04:05+00:00" }) };
}

const tagOf = (number: number, of: string): BroughtItem => itemOf(idOf(number), { note_id: of, name: "tag" });

it.each([0, 1, 3, 5])("tells what became of each, where the one in place %i is refused", async (refused) => {
  const items = Array.from({ length: 6 }, (_, at) => tagOf(10 + at, at === refused ? unknown : note));
  const applied = await applyMirrored(database, "tag", items);
  expect(applied.map((result) => (result instanceof HandlerError ? result.reason : result.outcome))).toEqual(
    items.map((_, at) => (at === refused ? "FOREIGN_KEY_VIOLATION" : "created")),
  );
  const rows = await runSql(pair.west.url, "SELECT id::text FROM tags ORDER BY id");
  expect(rows.map(({ id }) => id)).toEqual(items.filter((_, at) => at !== refused).map(({ id }) => id));
});

it("keeps what is newer, and says which version that is", async () => {
  await applyMirrored(database, "tag", [{ ...tagOf(10, note), version: 5n }]);
  expect(await applyMirrored(database, "tag", [tagOf(10, note), tagOf(11, note)])).toEqual([
    { outcome: "stale", version: 5n },
    { outcome: "created", version: 1n },
  ]);
});
