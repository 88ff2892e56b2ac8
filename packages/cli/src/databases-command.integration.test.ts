import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createProcesses, runSql, startCrashableServer } from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";

const PROGRAM = join(import.meta.dirname, "main.ts");
const processes = createProcesses();
let folder: string;
let server: Awaited<ReturnType<typeof startCrashableServer>>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-cli-databases-"));
  // Of its own: the roles of the other tests' servers have passwords that they count on.
  server = await startCrashableServer();
});
afterAll(async () => {
  await processes.end();
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

async function databases(adminUrl: string): Promise<{ code: number | null; out: string; err: string }> {
  const env = { INIT_CWD: undefined, TANDEM_ADMIN_URL: adminUrl };
  const spawned = await processes.spawn({ args: [PROGRAM, "databases"], cwd: folder, env });
  const { code } = await spawned.waitForExit({ timeoutMs: 30_000 });
  return { code, out: spawned.lines("stdout").join("\n"), err: spawned.lines("stderr").join("\n") };
}

it("prepares a server, says with which URLs the services reach it, and says the same when it is run again", async () => {
  const first = await databases(server.adminUrl);
  expect(first).toMatchObject({ code: 0, err: expect.stringContaining(".tandem/secrets.json") });
  const urls = [...first.out.matchAll(/^(TANDEM_\w+_URL)=(.*)$/gm)];
  expect(urls.map(([, name]) => name)).toEqual([
    "TANDEM_DATABASE_URL",
    "TANDEM_MIGRATION_URL",
    "TANDEM_DATABASE_URL",
    "TANDEM_MIGRATION_URL",
    "TANDEM_DBPROXY_URL",
  ]);
  const roles = [];
  for (const [, , url = ""] of urls) roles.push(...(await runSql(url, "SELECT current_user::text AS role")));
  expect(roles.map(({ role }) => role)).toEqual([
    "gateway_app",
    "gateway_owner",
    "assistant_app",
    "assistant_owner",
    "assistant_dbproxy",
  ]);
  expect(await databases(server.adminUrl)).toEqual(first);
});

it("says in a sentence what it lacks", async () => {
  expect(await databases("")).toMatchObject({
    code: 1,
    err: expect.stringContaining("TANDEM_ADMIN_URL is not set"),
  });
  const nowhere = await databases("postgresql://postgres:hunter2@127.0.0.1:1/postgres");
  expect(nowhere).toMatchObject({
    code: 1,
    out: "",
    err: expect.stringMatching(/^tandem: .*127\.0\.0\.1:1/),
  });
  expect(nowhere.err).not.toContain("hunter2");
});
