import { createLogger } from "@tandem/rpc";
import { runSql, waitFor } from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createMirroredPair, type MirroredPair } from "../testing/mirrored-pair.ts";
import { applyMirrored } from "./apply-mirrored.ts";
import { keepTombstones } from "./keep-tombstones.ts";
import { createOutbox } from "./outbox.ts";

let pair: MirroredPair;
beforeAll(async () => {
  pair = await createMirroredPair("tombstones_test");
});
afterAll(() => pair[Symbol.asyncDispose]());

it("forgets what was deleted 30 days ago, a day later where it decides, and not before the mirror has heard of it", async () => {
  const days = ["29 days", "30 days 12 hours", "31 days 12 hours", "40 days"];
  for (const side of ["east", "west"] as const) {
    const { ownerUrl } = pair[side];
    for (const age of days) {
      await runSql(
        ownerUrl,
        `INSERT INTO tandem.tombstones (aggregate, id, version, deleted_at)
         VALUES ('note', gen_random_uuid(), 2, now() - interval '${age}')`,
      );
    }
    await runSql(ownerUrl, `GRANT DELETE ON tandem.tombstones TO tombstones_test_${side}_app`);
  }
  await runSql(
    pair.east.ownerUrl,
    `INSERT INTO tandem.outbox (aggregate, id, version)
     SELECT aggregate, id, version FROM tandem.tombstones ORDER BY deleted_at LIMIT 1`,
  );
  const logger = createLogger({ service: "test", level: "fatal" });
  await using sweepers = new AsyncDisposableStack();
  for (const { database } of [pair.east, pair.west]) {
    sweepers.use(keepTombstones({ database, logger, intervalMs: 10 }));
  }
  const kept = async (side: "east" | "west"): Promise<unknown[]> => {
    const rows = await runSql(
      pair[side].ownerUrl,
      "SELECT (extract(epoch FROM now() - deleted_at) / 86400)::int AS days FROM tandem.tombstones ORDER BY 1",
    );
    return rows.map(({ days: age }) => age);
  };
  await waitFor(async () => (await kept("west")).length === 1 && (await kept("east")).length === 3, {
    describe: "the sweepers",
  });
  expect(await kept("west")).toEqual([29]);
  expect(await kept("east")).toEqual([29, 31, 40]);
});

const id = "01990000-0000-7000-8000-000000000001";

it("counts from when the mirror has heard of it", async () => {
  await runSql(
    pair.east.url,
    `INSERT INTO notes (id, title) VALUES ('${id}', 'one'); DELETE FROM notes WHERE id = '${id}'`,
  );
  const ofNote = `FROM tandem.tombstones WHERE id = '${id}'`;
  await runSql(
    pair.east.ownerUrl,
    `UPDATE tandem.tombstones SET deleted_at = now() - interval '40 days' WHERE id = '${id}'`,
  );
  await createOutbox(pair.east.database).delivered("note", [{ id, version: 2n }]);
  expect(
    await runSql(pair.east.ownerUrl, `SELECT now() - deleted_at < interval '1 minute' AS late ${ofNote}`),
  ).toEqual([{ late: true }]);
});

it("takes what is made again after that, whether or not the mirror has forgotten it already", async () => {
  await applyMirrored(pair.west.database, "note", [{ id, version: 7n, state: undefined }]);
  const state = JSON.stringify({ title: "again", updated_at: "2026-01-02T03:04:05Z", note_lines: [] });
  const again = [{ id, version: 1n, state }];
  const remembered = [{ outcome: "stale", version: 7n }];
  expect(await applyMirrored(pair.west.database, "note", again)).toEqual(remembered);
  await runSql(
    pair.west.ownerUrl,
    `UPDATE tandem.tombstones SET deleted_at = now() - interval '30 days' WHERE id = '${id}'`,
  );
  expect(await applyMirrored(pair.west.database, "note", again)).toEqual([
    { outcome: "created", version: 1n },
  ]);
});
