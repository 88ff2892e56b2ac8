import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
// By path: testkit builds on this package, and a dependency back would be a circle.
import { createProcesses, findProcesses, runSql, trackLeaks, waitFor } from "../../testkit/src/index.ts";
import { type EmbeddedServer, startEmbeddedServer, type StartOptions } from "./index.ts";
import { killIfThere } from "./kill-if-there.ts";
import { canPass, isRoot } from "./server-user.ts";

const leaks = trackLeaks();
const processes = createProcesses();
const script = join(import.meta.dirname, "testing", "start-and-stay.ts");
const servers: EmbeddedServer[] = [];
let folder: string;
let dataFolder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-embedded-"));
  await chmod(folder, 0o711);
  dataFolder = join(folder, "data");
});

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
  await processes.end();
  try {
    await nothingRuns();
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
});

afterAll(() => leaks.expectNoLeaks());

async function start(options: Partial<StartOptions> = {}): Promise<EmbeddedServer> {
  const server = await startEmbeddedServer({ dataFolder, settings: { fsync: "off" }, ...options });
  servers.push(server);
  return server;
}

// Whatever has to do with this test's folder: in its command, its environment or where it works.
async function nothingRuns(): Promise<void> {
  const check = async (): Promise<boolean> => (await findProcesses(folder)).length === 0;
  try {
    await waitFor(check, { describe: "no process to be left", timeoutMs: 5_000 });
  } catch (error) {
    throw new Error(`Still running: ${await endAll()}`, { cause: error });
  }
}

// So that a test that fails leaves nothing to the others.
async function endAll(): Promise<string> {
  const left = await findProcesses(folder);
  for (const { pid } of left) killIfThere(pid);
  return left.map(({ pid, command }) => `${pid} ${command}`).join("; ");
}

test("keeps data and password over a restart, and lets nobody in without the password", async () => {
  const first = await start();
  expect(first.version).toMatch(/^18\./);
  await runSql(first.adminUrl, "CREATE TABLE thing AS SELECT 42 AS answer");
  const wrong = new URL(first.adminUrl);
  wrong.password = "wrong";
  await expect(runSql(wrong.href, "SELECT 1")).rejects.toMatchObject({ code: "28P01" });
  await first.stop();
  await first.stop();
  expect(await first.exited).toEqual({ code: 0, signal: null });
  const second = await start();
  const url = new URL(first.adminUrl);
  url.port = String(second.port);
  expect(await runSql(url.href, "SELECT answer FROM thing")).toEqual([{ answer: 42 }]);
  expect((await stat(join(dataFolder, "superuser-password"))).mode & 0o777).toBe(0o600);
});

test("listens on 127.0.0.1 alone, with the settings that are asked for and no others", async () => {
  const server = await start({ settings: { fsync: "off", max_connections: "17" } });
  const names = [
    "listen_addresses",
    "unix_socket_directories",
    "max_connections",
    "full_page_writes",
    "synchronous_commit",
    "max_prepared_transactions",
    "password_encryption",
    "lc_messages",
    "TimeZone",
  ];
  const rows = await runSql(
    server.adminUrl,
    `SELECT ${names.map((name) => `current_setting('${name}') AS "${name}"`).join(", ")}`,
  );
  expect(rows).toEqual([
    {
      listen_addresses: "127.0.0.1",
      unix_socket_directories: "",
      max_connections: "17",
      full_page_writes: "on",
      synchronous_commit: "on",
      max_prepared_transactions: "0",
      password_encryption: "scram-sha-256",
      lc_messages: "C",
      TimeZone: "UTC",
    },
  ]);
});

test("recovers what was committed before a crash", async () => {
  const first = await start({ settings: {} });
  await runSql(first.adminUrl, "CREATE TABLE thing AS SELECT 42 AS answer");
  await first.kill();
  expect(await first.exited).toEqual({ code: null, signal: "SIGKILL" });
  const second = await start({ settings: {} });
  expect(await runSql(second.adminUrl, "SELECT answer FROM thing")).toEqual([{ answer: 42 }]);
});

test("stops with a transaction open, within its bounds", async () => {
  const server = await start();
  const query = runSql(server.adminUrl, "SELECT pg_sleep(60)");
  const failure = expect(query).rejects.toThrow();
  await waitFor(
    async () =>
      (await runSql(server.adminUrl, "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"))
        .length > 0,
    { describe: "the query to run" },
  );
  const started = performance.now();
  await server.stop();
  expect(performance.now() - started).toBeLessThan(3_000);
  await failure;
});

test("refuses a second server on the same folder, naming the process", async () => {
  const first = await start();
  await expect(start()).rejects.toMatchObject({
    reason: "ALREADY_RUNNING",
    message: expect.stringContaining(`Process ${process.pid} already runs PostgreSQL on ${dataFolder}`),
  });
  await first.stop();
  const child = await processes.spawn({ args: [script, dataFolder] });
  await child.waitForLine("ready");
  await expect(start()).rejects.toMatchObject({
    message: expect.stringContaining(`Process ${child.pid} already`),
  });
  child.endInput();
  expect(await child.waitForExit()).toEqual({ code: 0, signal: null });
});

test("says which port is taken, and leaves nothing running", async () => {
  const taker = createServer().listen({ host: "127.0.0.1", port: 0 });
  await once(taker, "listening");
  const address = taker.address();
  if (address === null || typeof address === "string") throw new Error("The server has no address.");
  await expect(start({ port: address.port })).rejects.toMatchObject({
    reason: "PORT_TAKEN",
    message: expect.stringContaining(`Port ${address.port} of 127.0.0.1 is taken`),
  });
  await nothingRuns();
  taker.close();
  await once(taker, "close");
  expect((await start({ port: address.port })).port).toBe(address.port);
});

test("starts where postmaster.pid is left with the pid of a process that is something else", async () => {
  const first = await start();
  await first.stop();
  const other = spawn("sleep", ["60"], await ownerOf(join(dataFolder, "cluster")));
  await once(other, "spawn");
  const pidFile = join(dataFolder, "cluster", "postmaster.pid");
  await writeFile(
    pidFile,
    `${other.pid}\n${join(dataFolder, "cluster")}\n1700000000\n1\n\n127.0.0.1\n  0 0\nready\n`,
  );
  await chown(pidFile, ...(Object.values(await ownerOf(join(dataFolder, "cluster"))) as [number, number]));
  const second = await start();
  expect(second.pid).not.toBe(other.pid);
  other.kill();
  await once(other, "exit");
});

async function ownerOf(path: string): Promise<{ uid: number; gid: number }> {
  const { uid, gid } = await stat(path);
  return { uid, gid };
}

test("begins again when it was killed while it initialised", async () => {
  const child = await processes.spawn({ args: [script, dataFolder] });
  await child.waitForLine("initialising");
  await waitFor(async () => (await drafts()).length === 1, { describe: "the initialisation to begin" });
  child.kill("SIGKILL");
  await child.waitForExit();
  await nothingRuns();
  expect(await drafts()).toHaveLength(1);
  expect(await readdir(dataFolder)).not.toContain("cluster");
  const server = await start();
  expect(await runSql(server.adminUrl, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
  expect(await drafts()).toEqual([]);
});

async function drafts(): Promise<string[]> {
  return (await readdir(dataFolder)).filter((name) => name.startsWith("initialising-"));
}

test("moves a folder aside that can't be a cluster, and keeps it", async () => {
  await mkdir(join(dataFolder, "cluster"), { recursive: true });
  await chmod(dataFolder, 0o711);
  await writeFile(join(dataFolder, "cluster", "PG_VERSION"), "18\n");
  const lines: string[] = [];
  await start({ onProgress: (line) => lines.push(line) });
  expect(lines.join("\n")).toContain("is no complete database: moved to");
  const [aside = ""] = (await readdir(dataFolder)).filter((name) => name.startsWith("cluster.incomplete-"));
  expect(await readFile(join(dataFolder, aside, "PG_VERSION"), "utf8")).toBe("18\n");
});

test("leaves the data of another major version alone and says so", async () => {
  await (await start()).stop();
  const versionFile = join(dataFolder, "cluster", "PG_VERSION");
  await writeFile(versionFile, "17\n");
  await expect(start()).rejects.toMatchObject({
    reason: "OTHER_MAJOR_VERSION",
    message: expect.stringMatching(/was made by PostgreSQL 17, which PostgreSQL 18\.\d+ can't read/),
  });
  expect(await readFile(versionFile, "utf8")).toBe("17\n");
});

test("says that the password is missing rather than making the data again", async () => {
  await (await start()).stop();
  await rm(join(dataFolder, "superuser-password"));
  await expect(start()).rejects.toMatchObject({
    message: expect.stringContaining("superuser-password is missing"),
  });
  expect(await readdir(join(dataFolder, "cluster"))).toContain("PG_VERSION");
});

test("gives the end of the log when the server ends while it starts, and lets go of the folder", async () => {
  await expect(start({ settings: { shared_buffers: "nonsense" } })).rejects.toMatchObject({
    reason: "START_FAILED",
    message: expect.stringMatching(
      /ended while it was starting \(exit code 1\).*\n.*shared_buffers.*nonsense/s,
    ),
  });
  await start();
});

test("leaves nothing running when it is called off, and can be started later", async () => {
  const abort = new AbortController();
  const progress = (line: string): void => {
    if (line.startsWith("initialising")) setTimeout(() => abort.abort(), 50);
  };
  await expect(start({ signal: abort.signal, onProgress: progress })).rejects.toMatchObject({
    reason: "ABORTED",
  });
  await nothingRuns();
  await start();
});

for (const whole of [false, true]) {
  test(`ends within 5 s of the death of ${whole ? "the process group of" : ""} whoever started it`, async () => {
    const child = await processes.spawn({ args: [script, dataFolder], detached: whole });
    await child.waitForLine("ready");
    process.kill(whole ? -child.pid : child.pid, "SIGKILL");
    await child.waitForExit();
    const died = performance.now();
    await nothingRuns();
    expect(performance.now() - died).toBeLessThan(5_000);
    await start();
  });
}

test("waits for the server of a starter that was killed a moment ago, though a client holds on to it", async () => {
  const child = await processes.spawn({ args: [script, dataFolder] });
  const url = (await child.waitForLine("ready")).split(" ")[2] ?? "";
  const query = runSql(url, "SELECT pg_sleep(60)").then(
    () => "answered",
    () => "failed",
  );
  child.kill("SIGKILL");
  await child.waitForExit();
  await start();
  expect(await query).toBe("failed");
});

test.runIf(isRoot())(
  "serves an ordinary user as well, whose data root can use afterwards",
  async ({ skip }) => {
    const { stdout } = await promisify(execFile)("id", ["-u", "nobody"]);
    const uid = Number(stdout);
    const reachable = await canPass({ name: "nobody", uid, gid: uid }, import.meta.dirname);
    skip(!reachable, "no other user than root can read this checkout, so none can run its programs");
    await chown(folder, uid, uid);
    const child = await processes.spawn({ args: [script, dataFolder], uid, gid: uid, cwd: "/" });
    const [, pid, url = ""] = (await child.waitForLine("ready")).split(" ");
    expect((await stat(`/proc/${pid}`)).uid).toBe(uid);
    await runSql(url, "CREATE TABLE thing AS SELECT 42 AS answer");
    child.endInput();
    await child.waitForExit();
    const server = await start();
    expect((await stat(`/proc/${server.pid}`)).uid).toBe(uid);
    expect(await runSql(server.adminUrl, "SELECT answer FROM thing")).toEqual([{ answer: 42 }]);
  },
);
