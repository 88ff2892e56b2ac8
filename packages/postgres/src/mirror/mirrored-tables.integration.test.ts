import { runSql } from "@tandem/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createMirroredPair, type MirroredPair, type MirroredSide } from "../testing/mirrored-pair.ts";
import { translateDatabaseError } from "../translate-database-error.ts";

const note = "01990000-0000-7000-8000-000000000001";
const other = "01990000-0000-7000-8000-000000000002";
const line = "01990000-0000-7000-8000-0000000000a1";
const later = "01990000-0000-7000-8000-0000000000a2";
const tag = "01990000-0000-7000-8000-0000000000b1";

let pair: MirroredPair;
beforeAll(async () => {
  pair = await createMirroredPair("mirrored_tables_test");
});
beforeEach(async () => {
  for (const side of [pair.east, pair.west]) {
    await side.clear();
    await runSql(
      side.ownerUrl,
      `UPDATE tandem.authority SET authority = 'east', phase = 'settled', move = NULL`,
    );
  }
});
afterAll(() => pair[Symbol.asyncDispose]());

const run = ({ url }: MirroredSide, text: string): Promise<readonly Record<string, unknown>[]> =>
  runSql(url, text);

const outbox = (side: MirroredSide) =>
  run(side, "SELECT aggregate, id::text, version::int FROM tandem.outbox ORDER BY aggregate, id");

const refusal = (side: MirroredSide, text: string): Promise<unknown> =>
  run(side, text).then(
    () => "taken",
    (error: unknown) => translateDatabaseError(error).reason,
  );

/** Brings what one side holds of an id to the other, as a relay does. */
async function bring(aggregate: string, id: string, from = pair.east, to = pair.west): Promise<unknown> {
  const [row] = await run(from, `SELECT version, state::text FROM mirror.read_${aggregate}('{${id}}')`);
  return apply(to, { aggregate, id, version: row?.["version"], state: row?.["state"] });
}

interface Delivery {
  readonly aggregate: string;
  readonly id: string;
  readonly version: unknown;
  readonly state: unknown;
}

async function apply(
  { database }: MirroredSide,
  { aggregate, id, version, state }: Delivery,
): Promise<unknown> {
  const rows = await database.run({
    text: `SELECT outcome FROM mirror.apply_${aggregate}($1, $2, $3)`,
    values: [id, String(version), state],
  });
  return rows[0]?.["outcome"];
}

const contents = (side: MirroredSide) =>
  run(
    side,
    `SELECT to_jsonb(n) AS row FROM notes n UNION ALL SELECT to_jsonb(l) FROM note_lines l UNION ALL SELECT to_jsonb(t) FROM tags t
     ORDER BY 1`,
  );

describe("on the side that decides", () => {
  it("each change raises the version, and marks the newest one in the outbox", async () => {
    await run(pair.east, `INSERT INTO notes (id, title) VALUES ('${note}', 'one')`);
    await run(pair.east, `UPDATE notes SET title = 'two'`);
    expect(await outbox(pair.east)).toEqual([{ aggregate: "note", id: note, version: 2 }]);
  });

  it("a change of a child is one of its parent, however many change at once", async () => {
    await run(pair.east, `INSERT INTO notes (id, title) VALUES ('${note}', 'one'), ('${other}', 'other')`);
    await run(
      pair.east,
      `INSERT INTO note_lines (id, note_id, place) VALUES ('${line}', '${note}', 'a'), (gen_random_uuid(), '${note}', 'b')`,
    );
    await run(pair.east, `UPDATE note_lines SET note_id = '${other}' WHERE id = '${line}'`);
    expect(await outbox(pair.east)).toEqual([
      { aggregate: "note", id: note, version: 3 },
      { aggregate: "note", id: other, version: 2 },
    ]);
  });

  it("a write that is rolled back, or turns out to be none, leaves nothing in the outbox", async () => {
    await run(pair.east, `INSERT INTO notes (id, title) VALUES ('${note}', 'one')`);
    await runSql(pair.east.ownerUrl, "TRUNCATE tandem.outbox");
    await run(pair.east, `BEGIN; UPDATE notes SET title = 'two'; ROLLBACK`);
    await run(pair.east, `INSERT INTO notes (id, title) VALUES ('${note}', 'two') ON CONFLICT DO NOTHING`);
    expect(await outbox(pair.east)).toEqual([]);
  });

  it("what goes with a deletion is deleted by versioned tombstones of its own", async () => {
    await run(pair.east, `INSERT INTO notes (id, title) VALUES ('${note}', 'one')`);
    await run(pair.east, `INSERT INTO tags (id, note_id, name) VALUES ('${tag}', '${note}', 't')`);
    await run(pair.east, "DELETE FROM notes");
    expect(await outbox(pair.east)).toEqual([
      { aggregate: "note", id: note, version: 2 },
      { aggregate: "tag", id: tag, version: 2 },
    ]);
    await run(pair.east, `INSERT INTO notes (id, title) VALUES ('${note}', 'again')`);
    expect(await run(pair.east, "SELECT version::int FROM notes")).toEqual([{ version: 3 }]);
  });

  it("nothing is written while the authority moves, in whatever isolation", async () => {
    await run(pair.east, `INSERT INTO notes (id, title) VALUES ('${note}', 'one')`);
    await runSql(
      pair.east.ownerUrl,
      "UPDATE tandem.authority SET phase = 'draining', move = gen_random_uuid()",
    );
    for (const begin of ["BEGIN", "BEGIN ISOLATION LEVEL SERIALIZABLE"]) {
      expect(await refusal(pair.east, `${begin}; UPDATE notes SET title = 'two'`)).toBe("NOT_AUTHORITATIVE");
    }
    expect(await refusal(pair.east, "DELETE FROM notes")).toBe("NOT_AUTHORITATIVE");
  });

  it("a transaction that has its snapshot from before the authority moved can't write after it", async () => {
    const late = pair.east.database.transaction(
      async ({ sql }) => {
        await sql`SELECT 1 FROM notes`;
        await runSql(pair.east.ownerUrl, "UPDATE tandem.authority SET authority = 'west'");
        await sql`INSERT INTO notes (id, title) VALUES (${note}, 'late')`;
      },
      { isolation: "REPEATABLE READ" },
    );
    await expect(late).rejects.toMatchObject({ reason: "SERIALIZATION_FAILURE" });
  });

  it("what the other side has decided is not taken", async () => {
    await run(pair.east, `INSERT INTO notes (id, title) VALUES ('${note}', 'one')`);
    await expect(bring("note", note, pair.east, pair.east)).resolves.toBe("stale");
    const newer = { aggregate: "note", id: note, version: 9, state: null };
    const refused = apply(pair.east, newer).catch((error: unknown) => translateDatabaseError(error).reason);
    expect(await refused).toBe("NOT_AUTHORITATIVE");
  });
});

/** In this order, and what finds its place taken again behind the others, as a relay does. */
async function deliver(order: readonly Delivery[]): Promise<void> {
  const refused: Delivery[] = [];
  for (const delivery of order) {
    await apply(pair.west, delivery).catch((error: unknown) => {
      if (translateDatabaseError(error).reason !== "UNIQUE_VIOLATION") throw error;
      refused.push(delivery);
    });
  }
  expect(refused.length).toBeLessThan(order.length);
  if (refused.length > 0) await deliver(refused);
}

describe("on the mirror's side", () => {
  it("nobody writes but who brings what the other side has decided, and that echoes nothing", async () => {
    await run(pair.east, `INSERT INTO notes (id, title) VALUES ('${note}', 'one')`);
    await run(pair.east, `INSERT INTO note_lines (id, note_id, place) VALUES ('${line}', '${note}', 'a')`);
    await run(pair.east, `INSERT INTO tags (id, note_id, name) VALUES ('${tag}', '${note}', 't')`);
    expect(await bring("note", note)).toBe("created");
    expect(await bring("tag", tag)).toBe("created");
    expect(await contents(pair.west)).toEqual(await contents(pair.east));
    expect(await refusal(pair.west, "UPDATE notes SET title = 'mine'")).toBe("NOT_AUTHORITATIVE");
    expect(await refusal(pair.west, "DELETE FROM note_lines")).toBe("NOT_AUTHORITATIVE");
    await run(pair.east, "UPDATE note_lines SET text = 'more'");
    expect(await bring("note", note)).toBe("updated");
    expect(await contents(pair.west)).toEqual(await contents(pair.east));
    expect(await outbox(pair.west)).toEqual([]);
  });

  it("a row without what it refers to is refused, and can be brought later", async () => {
    await run(pair.east, `INSERT INTO notes (id, title) VALUES ('${note}', 'one')`);
    await run(pair.east, `INSERT INTO tags (id, note_id, name) VALUES ('${tag}', '${note}', 't')`);
    const early = bring("tag", tag).catch((error: unknown) => translateDatabaseError(error).reason);
    expect(await early).toBe("FOREIGN_KEY_VIOLATION");
    await bring("note", note);
    expect(await bring("tag", tag)).toBe("created");
  });

  it("a deletion takes along what belongs to it, and nothing older comes back", async () => {
    await run(pair.east, `INSERT INTO notes (id, title) VALUES ('${note}', 'one')`);
    await run(pair.east, `INSERT INTO tags (id, note_id, name) VALUES ('${tag}', '${note}', 't')`);
    const [old] = await run(pair.east, `SELECT version, state::text FROM mirror.read_note('{${note}}')`);
    await bring("note", note);
    await bring("tag", tag);
    await run(pair.east, "DELETE FROM notes");
    expect(await bring("note", note)).toBe("deleted");
    expect(await contents(pair.west)).toEqual([]);
    expect(await bring("tag", tag)).toBe("deleted");
    const late = { aggregate: "note", id: note, version: old?.["version"], state: old?.["state"] };
    expect(await apply(pair.west, late)).toBe("stale");
    expect(await contents(pair.west)).toEqual([]);
  });

  it("a unique place goes to whom the other side gave it last, in whatever order that comes", async () => {
    const states: Delivery[] = [];
    const take = async (id: string): Promise<void> => {
      const [row] = await run(pair.east, `SELECT version, state::text FROM mirror.read_note('{${id}}')`);
      states.push({ aggregate: "note", id, version: row?.["version"], state: row?.["state"] });
    };
    await run(pair.east, `INSERT INTO notes (id, title) VALUES ('${note}', 'one'), ('${other}', 'other')`);
    await run(pair.east, `INSERT INTO note_lines (id, note_id, place) VALUES ('${line}', '${note}', 'a')`);
    await take(note);
    // It moves as it is, then it is another one.
    await run(pair.east, `UPDATE note_lines SET note_id = '${other}'`);
    await take(note);
    await take(other);
    await run(pair.east, "DELETE FROM note_lines");
    await run(
      pair.east,
      `INSERT INTO note_lines (id, note_id, place) VALUES (gen_random_uuid(), '${note}', 'a')`,
    );
    await take(note);
    await take(other);
    const decided = await contents(pair.east);
    for (const order of permutations(states)) {
      await runSql(
        pair.west.ownerUrl,
        "SET ROLE mirrored_tables_test_west_mirror; DELETE FROM note_lines; DELETE FROM notes; DELETE FROM tandem.tombstones",
      );
      await deliver(order);
      expect(await contents(pair.west)).toEqual(decided);
    }
  });

  it("a unique place comes to whom it was given, though the clock that it was written by before was ahead", async () => {
    await run(pair.east, `INSERT INTO notes (id, title) VALUES ('${note}', 'one'), ('${other}', 'other')`);
    await run(
      pair.east,
      `INSERT INTO note_lines (id, note_id, place) VALUES ('${line}', '${note}', 'a'), ('${later}', '${note}', 'b')`,
    );
    for (const id of [note, other]) await bring("note", id);
    await runSql(
      pair.west.ownerUrl,
      "SET ROLE mirrored_tables_test_west_mirror; UPDATE note_lines SET updated_at = updated_at + interval '1 minute'",
    );
    // One place goes to another note, and the other one to another line of the same.
    await run(
      pair.east,
      `UPDATE note_lines SET place = 'c' WHERE place = 'b';
       UPDATE note_lines SET place = 'b' WHERE place = 'a';
       INSERT INTO note_lines (id, note_id, place) VALUES (gen_random_uuid(), '${other}', 'a')`,
    );
    const taken = bring("note", other).catch((error: unknown) => translateDatabaseError(error).reason);
    expect(await taken).toBe("UNIQUE_VIOLATION");
    expect(await bring("note", note)).toBe("updated");
    expect(await bring("note", other)).toBe("updated");
    expect(await contents(pair.west)).toEqual(await contents(pair.east));
  });
});

it("both sides have the same digests where they hold the same, and others where they don't", async () => {
  await run(
    pair.east,
    `INSERT INTO notes (id, title) SELECT gen_random_uuid(), 'n' || i FROM generate_series(1, 50) i`,
  );
  for (const { id } of await run(pair.east, "SELECT id::text FROM notes")) await bring("note", String(id));
  const digests = (side: MirroredSide) =>
    run(
      side,
      "SELECT bucket, held::int, encode(digest, 'hex') FROM mirror.digest_note(7, '-infinity', 'infinity') ORDER BY 1",
    );
  expect(await digests(pair.west)).toEqual(await digests(pair.east));
  await run(pair.east, "UPDATE notes SET title = 'other' WHERE title = 'n7'");
  const [changed] = await run(
    pair.east,
    "SELECT l.bucket FROM mirror.list_note(7, '-infinity', 'infinity') l JOIN notes n USING (id) WHERE n.title = 'other'",
  );
  const [theirs, ours] = [await digests(pair.west), await digests(pair.east)];
  expect(ours.filter((row, at) => JSON.stringify(row) !== JSON.stringify(theirs[at]))).toMatchObject([
    changed,
  ]);
});

function* permutations<T>(items: readonly T[]): Generator<readonly T[]> {
  if (items.length === 0) yield [];
  for (const [at, item] of items.entries()) {
    for (const rest of permutations(items.toSpliced(at, 1))) yield [item, ...rest];
  }
}
