import { createLogger } from "@tandem/rpc";
import { runSql, waitFor } from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createMirroredPair, type MirroredPair } from "../testing/mirrored-pair.ts";
import { keepTombstones } from "./keep-tombstones.ts";

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
