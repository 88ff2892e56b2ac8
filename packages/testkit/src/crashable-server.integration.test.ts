import { afterAll, beforeAll, expect, it } from "vitest";
import { type CrashableServer, startCrashableServer } from "./crashable-server.ts";
import { runSql } from "./run-sql.ts";

let server: CrashableServer;
beforeAll(async () => {
  server = await startCrashableServer();
});
afterAll(() => server[Symbol.asyncDispose]());

it("comes back from a crash at the same address, with what was committed and nothing else", async () => {
  await runSql(server.adminUrl, "CREATE TABLE kept AS SELECT 1 AS value");
  const open = runSql(server.adminUrl, "BEGIN; INSERT INTO kept VALUES (2); SELECT pg_sleep(30)");
  const lost = expect(open).rejects.toThrow();
  const sleeping = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
  await expect.poll(() => runSql(server.adminUrl, sleeping)).toHaveLength(1);
  await server.crash();
  await lost;
  await expect(runSql(server.adminUrl, "SELECT 1")).rejects.toThrow(/ECONNREFUSED/);
  await server.restart();
  expect(await runSql(server.adminUrl, "SELECT value FROM kept")).toEqual([{ value: 1 }]);
});
