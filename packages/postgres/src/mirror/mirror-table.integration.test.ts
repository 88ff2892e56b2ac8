import { runSql } from "@tandem/testkit";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { createMirroredPair, type MirroredPair, type MirroredSide } from "../testing/mirrored-pair.ts";
import { applyMirrored } from "./apply-mirrored.ts";
import { createOutbox, type MirrorItem } from "./outbox.ts";

const [one, two] = ["01990000-0000-7000-8000-000000000001", "01990000-0000-7000-8000-000000000002"] as const;

let pair: MirroredPair;
beforeAll(async () => {
  pair = await createMirroredPair("mirror_table_test");
});
beforeEach(async () => {
  for (const side of [pair.east, pair.west]) await side.clear();
});
afterAll(() => pair[Symbol.asyncDispose]());

const outbox = ({ ownerUrl }: MirroredSide) =>
  runSql(ownerUrl, "SELECT aggregate, id::text, version::int FROM tandem.outbox ORDER BY aggregate, id");

const ROW =
  "id uuid PRIMARY KEY, version bigint NOT NULL DEFAULT 1, updated_at timestamptz NOT NULL DEFAULT now()";

const read = async (id: string): Promise<MirrorItem> => {
  const [item] = await createOutbox(pair.east.database).read("note", [id]);
  if (item === undefined) throw new Error("There is no such note.");
  return item;
};

it("brings the rows that a table has already, where this side decides, and not a second time", async () => {
  const books = `
    CREATE TABLE books (${ROW});
    CREATE TABLE pages (${ROW}, book_id uuid NOT NULL REFERENCES books ON DELETE CASCADE);
    INSERT INTO books (id, version) VALUES ('${one}', 1), ('${two}', 3);
    INSERT INTO pages (id, book_id) VALUES ('${one}', '${two}');
    SELECT tandem.mirror_table('book', 'books')`;
  for (const { ownerUrl } of [pair.east, pair.west]) await runSql(ownerUrl, books);
  const marked = [
    { aggregate: "book", id: one, version: 1 },
    { aggregate: "book", id: two, version: 3 },
  ];
  expect(await outbox(pair.east)).toEqual(marked);
  expect(await outbox(pair.west)).toEqual([]);

  await runSql(pair.east.ownerUrl, "DELETE FROM tandem.outbox; SELECT tandem.mirror_table('book', 'books')");
  expect(await outbox(pair.east)).toEqual([]);
  // Of a table that comes to belong to it as well.
  for (const { ownerUrl } of [pair.east, pair.west]) {
    await runSql(ownerUrl, "SELECT tandem.mirror_table('book', 'books', 'pages')");
  }
  expect(await outbox(pair.east)).toEqual([{ aggregate: "book", id: two, version: 4 }]);
  expect(await outbox(pair.west)).toEqual([]);
});

it("refuses to begin where nobody has said who decides", async () => {
  const begun = runSql(
    pair.west.ownerUrl,
    `BEGIN; DELETE FROM tandem.authority; CREATE TABLE early (${ROW}); SELECT tandem.mirror_table('early', 'early')`,
  );
  await expect(begun).rejects.toThrow("tandem.authority is empty");
});

it("refuses TRUNCATE, which says of no row that it is deleted", async () => {
  await runSql(pair.east.url, `INSERT INTO notes (id, title) VALUES ('${one}', 'one')`);
  for (const tables of ["notes, note_lines, tags", "note_lines", "tags"]) {
    await expect(runSql(pair.east.ownerUrl, `TRUNCATE ${tables}`)).rejects.toThrow("DELETE");
  }
  expect(await runSql(pair.east.url, "SELECT id::text FROM notes")).toEqual([{ id: one }]);
});

it("takes no version from who writes a row, and one from what recovers it", async () => {
  const highest = 2n ** 63n - 1n;
  const versions = () =>
    runSql(
      pair.east.url,
      "SELECT version::text FROM notes UNION ALL SELECT version::text FROM note_lines ORDER BY 1",
    );
  await runSql(
    pair.east.url,
    `INSERT INTO notes (id, title, version) VALUES ('${one}', 'one', ${highest});
     INSERT INTO note_lines (id, note_id, place, version) VALUES ('${one}', '${one}', 'a', ${highest})`,
  );
  expect(await versions()).toEqual([{ version: "1" }, { version: "1" }]);
  await runSql(pair.east.url, `UPDATE notes SET version = ${highest}; UPDATE note_lines SET version = -1`);
  expect(await versions()).toEqual([{ version: "2" }, { version: "2" }]);
  await runSql(
    pair.east.url,
    `SELECT tandem.recover_note('${two}', 41, '{"title": "two", "updated_at": "2026-01-02", "note_lines": []}')`,
  );
  expect(await runSql(pair.east.url, "SELECT version::text FROM notes WHERE title = 'two'")).toEqual([
    { version: "42" },
  ]);
});

it("gives columns that only the mirror has what they had, or their default", async () => {
  await runSql(
    pair.east.url,
    `INSERT INTO notes (id, title) VALUES ('${one}', 'one'), ('${two}', 'two');
     INSERT INTO note_lines (id, note_id, place) VALUES ('${one}', '${one}', 'a')`,
  );
  await applyMirrored(pair.west.database, "note", [await read(one)]);
  await runSql(
    pair.west.ownerUrl,
    `ALTER TABLE notes ADD COLUMN kind text NOT NULL DEFAULT 'plain';
     ALTER TABLE note_lines ADD COLUMN kind text NOT NULL DEFAULT 'plain';
     SELECT tandem.mirror_table('note', 'notes', 'note_lines');
     SET ROLE mirror_table_test_west_mirror;
     UPDATE notes SET kind = 'held';
     UPDATE note_lines SET kind = 'held'`,
  );
  await runSql(
    pair.east.url,
    `UPDATE notes SET title = 'more';
     UPDATE note_lines SET text = 'more';
     INSERT INTO note_lines (id, note_id, place) VALUES ('${two}', '${one}', 'b')`,
  );
  expect(await applyMirrored(pair.west.database, "note", [await read(one), await read(two)])).toMatchObject([
    { outcome: "updated" },
    { outcome: "created" },
  ]);
  expect(await runSql(pair.west.url, "SELECT title, kind FROM notes ORDER BY id")).toEqual([
    { title: "more", kind: "held" },
    { title: "more", kind: "plain" },
  ]);
  expect(await runSql(pair.west.url, "SELECT text, kind FROM note_lines ORDER BY id")).toEqual([
    { text: "more", kind: "held" },
    { text: "", kind: "plain" },
  ]);
});
