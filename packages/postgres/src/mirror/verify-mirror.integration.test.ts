import { createLogger, HandlerError } from "@tandem/rpc";
import { runSql, waitFor } from "@tandem/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createMirroredPair, type MirroredPair } from "../testing/mirrored-pair.ts";
import { type Applied, applyMirrored } from "./apply-mirrored.ts";
import { createDatabaseSide, type MirrorSide } from "./mirror-side.ts";
import { createOutbox } from "./outbox.ts";
import { type Relay, startRelay } from "./relay.ts";
import type { RepairDirection } from "./repair-row.ts";
import { type Finding, verifyMirror } from "./verify-mirror.ts";

let pair: MirroredPair;
let east: MirrorSide;
let west: MirrorSide;
beforeAll(async () => {
  pair = await createMirroredPair("verify_test");
  east = createDatabaseSide("east", pair.east.database);
  west = createDatabaseSide("west", pair.west.database);
});
beforeEach(async () => {
  for (const side of [pair.east, pair.west]) await side.clear();
  await runSql(
    pair.east.url,
    `INSERT INTO notes (id, title) SELECT gen_random_uuid(), 'n' || i FROM generate_series(1, 1000) i`,
  );
  await runSql(
    pair.east.url,
    `INSERT INTO note_lines (id, note_id, place) SELECT gen_random_uuid(), id, title FROM notes;
     INSERT INTO tags (id, note_id, name) SELECT gen_random_uuid(), id, title FROM notes LIMIT 200`,
  );
  const relay = startTestRelay();
  await waitFor(async () => (await east.backlog()).pending === 0, {
    describe: "the mirror",
    timeoutMs: 20_000,
  });
  await relay[Symbol.asyncDispose]();
});
afterAll(() => pair[Symbol.asyncDispose]());

const aggregates = ["note", "tag"];

function startTestRelay(): Relay {
  return startRelay({
    outbox: createOutbox(pair.east.database),
    aggregates: aggregates.map((name) => ({
      name,
      deliver: async (items) => failuresOf(await applyMirrored(pair.west.database, name, items)),
    })),
    logger: createLogger({ service: "test", level: "fatal" }),
    limits: { pollIntervalMs: 10 },
  });
}

/** Spoils the mirror as no writer could. */
const spoil = (text: string): Promise<unknown> =>
  runSql(pair.west.ownerUrl, `SET ROLE verify_test_west_mirror; ${text}`);

async function verify(
  repair: RepairDirection = "none",
  settleMs = 10,
  decides = east,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const { signal } = new AbortController();
  const verifying = verifyMirror({ decides, mirror: west, aggregates, repair, settleMs, signal });
  for await (const finding of verifying) findings.push(finding);
  return findings;
}

const countOf = (findings: readonly Finding[]): Record<string, number> =>
  Object.fromEntries(
    Object.entries(Object.groupBy(findings, ({ kind }) => kind)).map(([kind, all]) => [kind, all.length]),
  );

/** Two rows of each kind that can be wrong, and two of children. */
async function drift(): Promise<void> {
  await spoil(`
    DELETE FROM note_lines WHERE note_id IN (SELECT id FROM notes WHERE title IN ('n1', 'n2'));
    DELETE FROM tags WHERE note_id IN (SELECT id FROM notes WHERE title IN ('n1', 'n2'));
    DELETE FROM notes WHERE title IN ('n1', 'n2');
    UPDATE notes SET version = version - 1, title = 'old' WHERE title IN ('n3', 'n4');
    UPDATE notes SET title = 'other' WHERE title IN ('n5', 'n6');
    UPDATE note_lines SET text = 'other' WHERE place IN ('n7', 'n8');
    INSERT INTO notes (id, title, updated_at) VALUES (gen_random_uuid(), 'o1', '2020-01-01'), (gen_random_uuid(), 'o2', '2020-01-01');
    UPDATE notes SET version = version + 3, title = 'later' WHERE title IN ('n9', 'n10');
  `);
}

it("finds nothing where nothing is wrong", async () => {
  expect(await verify()).toEqual([]);
});

it("finds all that is wrong, and what it is, and repairs nothing unless asked to", async () => {
  await drift();
  const first = await verify();
  const notes = first.filter(({ aggregate }) => aggregate === "note");
  expect(countOf(notes)).toEqual({ missing: 2, stale: 2, different: 4, orphan: 2, newer: 2 });
  expect(first.some(({ repaired }) => repaired)).toBe(false);
  expect(await verify()).toHaveLength(first.length);
});

it("mends what the authority knows better, and leaves what the mirror has newer", async () => {
  await drift();
  const found = await verify("follow authority");
  expect(found.filter(({ repaired }) => !repaired).map(({ kind }) => kind)).toEqual(["newer", "newer"]);
  expect(countOf(await verify())).toEqual({ newer: 2 });
});

it("finds it too where a side can be asked for a few parts at a time only", async () => {
  await drift();
  const first = await verify();
  const slow: MirrorSide = {
    ...east,
    digests: async (aggregate, within) => {
      if ((within.parts?.length ?? within.buckets) <= 100) return east.digests(aggregate, within);
      throw new HandlerError({
        reason: "STATEMENT_TIMEOUT",
        message: "The statement took longer than it may.",
      });
    },
  };
  expect(await verify("none", 10, slow)).toEqual(first);
});

it("takes nothing for wrong that is on its way, however long that takes", async () => {
  await runSql(
    pair.east.url,
    `INSERT INTO notes (id, title) VALUES (gen_random_uuid(), 'new');
     UPDATE notes SET title = 'changed' WHERE title = 'n1';
     DELETE FROM notes WHERE title = 'n2'`,
  );
  expect(await verify()).toEqual([]);
});

it("undoes nothing that is written while it repairs", async () => {
  await spoil("UPDATE notes SET title = 'other' WHERE title = 'n5'");
  const busy: MirrorSide = {
    ...east,
    recover: async (aggregate, item) => {
      await runSql(pair.east.url, "UPDATE notes SET title = 'written meanwhile' WHERE title = 'n5'");
      await east.recover(aggregate, item);
    },
  };
  expect(countOf(await verify("follow authority", 10, busy))).toEqual({ different: 1 });
  for (const { url } of [pair.east, pair.west]) {
    expect(await runSql(url, "SELECT FROM notes WHERE title = 'written meanwhile'")).toHaveLength(1);
  }
});

it("mends children that are wrong though their version is right, and those that stand where others belong", async () => {
  await spoil(`
    UPDATE notes SET version = version - 1 WHERE title IN ('n3', 'n4', 'n5');
    UPDATE note_lines SET text = 'other' WHERE place = 'n3';
    UPDATE note_lines SET place = 'elsewhere' WHERE place = 'n4';
    UPDATE note_lines SET place = 'n4', updated_at = now() WHERE place = 'n5';
  `);
  const found = await verify("follow authority");
  expect(found).toHaveLength(3);
  expect(found.every(({ repaired }) => repaired)).toBe(true);
  expect(await verify()).toEqual([]);
});

it("gives back to the authority what it has lost, above every version that was seen", async () => {
  const [lost] = await runSql(pair.east.url, "SELECT id::text, version::int FROM notes WHERE title = 'n20'");
  // As if an old backup had been restored: rows are gone, or as they were, and nothing remembers.
  await runSql(
    pair.east.ownerUrl,
    `ALTER TABLE notes DISABLE TRIGGER USER; ALTER TABLE note_lines DISABLE TRIGGER USER; ALTER TABLE tags DISABLE TRIGGER USER;
     DELETE FROM notes WHERE title IN ('n20', 'n21', 'n22');
     UPDATE notes SET version = version - 1, title = 'as before' WHERE title IN ('n23', 'n24');
     ALTER TABLE notes ENABLE TRIGGER USER; ALTER TABLE note_lines ENABLE TRIGGER USER; ALTER TABLE tags ENABLE TRIGGER USER`,
  );
  const found = await verify("recover authority");
  expect(found.every(({ repaired }) => repaired)).toBe(true);
  expect(countOf(found.filter(({ aggregate }) => aggregate === "note"))).toEqual({ orphan: 3, newer: 2 });
  expect(await verify()).toEqual([]);
  const [again] = await runSql(
    pair.east.url,
    `SELECT title, version::int FROM notes WHERE id = '${String(lost?.["id"])}'`,
  );
  expect(again?.["title"]).toBe("n20");
  expect(Number(again?.["version"])).toBeGreaterThan(Number(lost?.["version"]));
});

describe("what the mirror has refused", () => {
  beforeEach(async () => {
    await runSql(pair.west.ownerUrl, "ALTER TABLE notes ADD CONSTRAINT refusing CHECK (title <> 'refused')");
    await using _ = startTestRelay();
    await runSql(
      pair.east.url,
      `UPDATE notes SET title = 'refused' WHERE title = 'n1000';
       INSERT INTO notes (id, title) VALUES (gen_random_uuid(), 'refused')`,
    );
    const isParked = async (): Promise<boolean> => (await east.backlog()).parked === 2;
    await waitFor(isParked, { describe: "them to be parked", timeoutMs: 20_000 });
  });
  const accept = () => runSql(pair.west.ownerUrl, "ALTER TABLE notes DROP CONSTRAINT IF EXISTS refusing");
  afterEach(accept);

  it("is parked no more when it has been repaired", async () => {
    await accept();
    expect(countOf(await verify())).toEqual({ stale: 1, missing: 1 });
    expect(await east.backlog()).toMatchObject({ pending: 0, parked: 2 });
    await verify("follow authority");
    expect(await east.backlog()).toMatchObject({ pending: 0, parked: 0 });
    expect(await verify()).toEqual([]);
  });

  it("is parked no more either where whoever repaired it came no further", async () => {
    await accept();
    const rows = await runSql(pair.east.url, "SELECT id::text FROM notes WHERE title = 'refused'");
    const ids = rows.map(({ id }) => String(id));
    for (const item of await east.read("note", ids)) await west.apply("note", item);
    expect(await verify("follow authority")).toEqual([]);
    expect(await east.backlog()).toMatchObject({ pending: 0, parked: 0 });
  });

  it("is parked no more where neither side has it", async () => {
    await accept();
    await runSql(
      pair.east.ownerUrl,
      "INSERT INTO tandem.outbox (aggregate, id, version, refusal) VALUES ('note', gen_random_uuid(), 7, 'unknown')",
    );
    await verify("follow authority");
    expect(await east.backlog()).toMatchObject({ pending: 0, parked: 0 });
  });

  it("stays parked while it is refused, and holds up no other's repair", async () => {
    await drift();
    const found = await verify("follow authority");
    expect(countOf(found.filter(({ repaired }) => !repaired))).toEqual({ stale: 1, missing: 1, newer: 2 });
    expect(await east.backlog()).toMatchObject({ parked: 2 });
    expect(countOf(await verify())).toEqual({ stale: 1, missing: 1, newer: 2 });
  });
});

it("gives no false alarm while rows are written, and finds what is wrong among them", async () => {
  const relay = startTestRelay();
  const stopped = new AbortController();
  const writers = Array.from({ length: 2 }, async () => {
    while (!stopped.signal.aborted) {
      const number = 100 + Math.floor(Math.random() * 900);
      await runSql(
        pair.east.url,
        `UPDATE notes SET title = title WHERE title = 'n${number}';
         DELETE FROM tags WHERE name = 'x${number}';
         INSERT INTO tags (id, note_id, name) SELECT gen_random_uuid(), id, 'x${number}' FROM notes WHERE title = 'n${number}'`,
      );
    }
  });
  expect(await verify("none", 500)).toEqual([]);
  await spoil("UPDATE notes SET title = 'other' WHERE title IN ('n5', 'n6')");
  expect(countOf(await verify("none", 500))).toEqual({ different: 2 });
  stopped.abort();
  await Promise.all(writers);
  await relay[Symbol.asyncDispose]();
});

const failuresOf = (results: readonly (Applied | HandlerError)[]): (Error | undefined)[] =>
  results.map((result) => (result instanceof HandlerError ? result : undefined));
