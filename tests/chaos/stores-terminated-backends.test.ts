import { fileURLToPath } from "node:url";
import {
  createProcesses,
  createTestDatabase,
  expectNoBackends,
  runSql,
  type TestDatabase,
} from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readChaosConfig } from "./config.ts";
import { createRandom } from "@tandem/testkit/random";
import type { StoresReport } from "./stores-report.ts";
import { expectTruth, terminateBackends } from "./terminations.ts";

const { seed, terminations } = readChaosConfig();
const RECOVERY_MS = 5_000;

const processes = createProcesses();
let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  for (const statement of [
    "CREATE TABLE halves (id uuid, half int, PRIMARY KEY (id, half))",
    // COMMIT takes a while, so that it is hit as well.
    "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.001); RETURN NULL; END'",
    `CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON halves DEFERRABLE INITIALLY DEFERRED
       FOR EACH ROW EXECUTE FUNCTION dawdle()`,
  ]) {
    await runSql(database.url, statement);
  }
});
afterAll(async () => {
  await processes.end();
  await database.drop();
});

it(
  `keeps every transaction of a store whole while ${terminations} of its backends are terminated (TANDEM_CHAOS_SEED=${seed})`,
  async () => {
    const program = fileURLToPath(import.meta.resolve("./stores-process.ts"));
    const store = await processes.spawn({ args: [program, database.url, String(seed)] });
    await store.waitForLine("begun");
    await terminateBackends({
      url: database.url,
      whose: "application_name = 'stores'",
      count: terminations,
      random: createRandom(seed),
    });
    store.endInput();
    // No call is left hanging, no process ends, no connection stays.
    expect(await store.waitForExit()).toEqual({ code: 0, signal: null });
    expect(store.lines("stderr")).toEqual([]);
    await expectNoBackends(database.url);

    const { ends, hit, longestMs, longestOutageMs, unexpected } = JSON.parse(
      store.lines("stdout").at(-1) ?? "",
    ) as StoresReport;
    expect(unexpected, "failures that have another reason").toEqual([]);
    expect(hit, "calls that were hit").toBeGreaterThan(0);
    expect(longestMs).toBeLessThan(RECOVERY_MS);
    expect(longestOutageMs).toBeLessThan(RECOVERY_MS);
    const truth = await expectTruth({
      url: database.url,
      ends: new Map(ends),
      whole: "SELECT id FROM halves GROUP BY id HAVING count(*) = 2",
      any: "SELECT DISTINCT id FROM halves",
    });
    const figures = `longest call ${Math.round(longestMs)} ms, longest outage ${Math.round(longestOutageMs)} ms`;
    process.stderr.write(
      `chaos: ${terminations} backends of a store terminated under ${truth}; ${figures}\n`,
    );
  },
  60_000 + terminations * 200,
);
