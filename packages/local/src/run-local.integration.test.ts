import { findFreePort } from "@tandem/embedded";
import { createProcesses, findProcesses, type SpawnedProcess, trackLeaks, waitFor } from "@tandem/testkit";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, realpath, rm, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

const leaks = trackLeaks();
const processes = createProcesses();
const program = join(import.meta.dirname, "testing", "start-with-stand-ins.ts");
const ready = { timeoutMs: 15_000 };
let folder: string;
let ports: { gateway: number; assistant: number; dbProxy: number; postgres: number };

// A folder in which the pair has run and was stopped: what most tests start from.
let prepared: string;

beforeAll(async () => {
  await newFolder();
  prepared = folder;
  const pair = await start();
  await pair.waitForLine(/^tandem ready/, ready);
  pair.kill("SIGINT");
  expect(await pair.waitForExit({ timeoutMs: 5_000 })).toEqual({ code: 0, signal: null });
});

beforeEach(newFolder);

async function newFolder(): Promise<void> {
  folder = await realpath(await mkdtemp(join(tmpdir(), "tandem-local-")));
  await chmod(folder, 0o711);
  ports = {
    gateway: await findFreePort(),
    assistant: await findFreePort(),
    dbProxy: await findFreePort(),
    postgres: await findFreePort(),
  };
}

async function copyPrepared(): Promise<void> {
  // With owners: the cluster may be another user's.
  await promisify(execFile)("cp", ["-a", join(prepared, "data"), folder]);
}

afterEach(async () => {
  await processes.end();
  try {
    await everythingEnds();
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
});

afterAll(async () => {
  await rm(prepared, { recursive: true });
  await leaks.expectNoLeaks();
});

function environment(extra: Record<string, string> = {}): Record<string, string> {
  return {
    TANDEM_DATA: join(folder, "data"),
    TANDEM_EXAMPLE: "false",
    TANDEM_GATEWAY_PORT: String(ports.gateway),
    TANDEM_ASSISTANT_PORT: String(ports.assistant),
    TANDEM_DBPROXY_PORT: String(ports.dbProxy),
    TANDEM_POSTGRES_PORT: String(ports.postgres),
    ...extra,
  };
}

function start(extra?: Record<string, string>): Promise<SpawnedProcess> {
  return processes.spawn({ args: [program], env: environment(extra) });
}

// Whatever has to do with this test's data: in its command, its environment or where it works.
async function everythingEnds(): Promise<void> {
  const check = async (): Promise<boolean> => (await findProcesses(folder)).length === 0;
  try {
    await waitFor(check, { describe: "everything to end", timeoutMs: 5_000 });
  } catch (error) {
    throw new Error(`Still running: ${await endAll()}`, { cause: error });
  }
}

// So that a test that fails leaves nothing to the others.
async function endAll(): Promise<string> {
  const left = await findProcesses(folder);
  for (const { pid } of left) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
    }
  }
  return left.map(({ pid, command }) => `${pid} ${command}`).join("; ");
}

async function logOf(service: string): Promise<Record<string, unknown>[]> {
  const lines = (await readFile(join(folder, "data", "logs", `${service}.log`), "utf8")).trim().split("\n");
  return lines.map((line): Record<string, unknown> => JSON.parse(line));
}

async function pidOf(part: string): Promise<number> {
  if (part === "postgres") {
    return Number.parseInt(
      await readFile(join(folder, "data", "postgres", "cluster", "postmaster.pid"), "utf8"),
      10,
    );
  }
  const pid = (await logOf(part)).find((entry) => typeof entry["pid"] === "number")?.["pid"];
  if (typeof pid !== "number") throw new Error(`The log of the ${part} names no process.`);
  return pid;
}

test("starts everything, shows how, and stops the services before PostgreSQL; data and passwords survive", async () => {
  const first = await start();
  const line = await first.waitForLine(/^tandem ready/, ready);
  expect(line).toMatch(
    new RegExp(
      `^tandem ready in \\d+\\.\\d s: gateway 127.0.0.1:${ports.gateway}, assistant 127.0.0.1:${ports.assistant}, ` +
        `its DbProxy 127.0.0.1:${ports.dbProxy}, postgres 127.0.0.1:${ports.postgres} \\(databases gateway, assistant\\)$`,
    ),
  );
  await first.waitForLine(`Ctrl-C stops everything; data stays in ${folder}/data`);
  expect(first.lines().filter((each) => each.includes("a warning for whoever watches"))).toHaveLength(2);
  expect((await stat(join(folder, "data", "secrets.json"))).mode & 0o777).toBe(0o600);
  first.kill("SIGINT");
  expect(await first.waitForExit({ timeoutMs: 5_000 })).toEqual({ code: 0, signal: null });
  expect(first.lines("stderr")).toEqual([]);
  const drained = await Promise.all(
    ["gateway", "assistant"].map(async (name) => (await logOf(name)).find(({ msg }) => msg === "drained")),
  );
  // Both asked their database for this as the last thing.
  expect(drained).toMatchObject([{ starts: 1 }, { starts: 1 }]);
  await everythingEnds();

  const second = await start();
  await second.waitForLine(/^tandem ready/, ready);
  expect(second.lines().join("\n")).not.toContain("initialising");
  second.kill("SIGTERM");
  second.kill("SIGTERM");
  second.kill("SIGINT");
  expect(await second.waitForExit({ timeoutMs: 5_000 })).toEqual({ code: 0, signal: null });
  expect(await logOf("gateway")).toContainEqual(expect.objectContaining({ msg: "drained", starts: 2 }));
});

for (const part of ["gateway", "assistant", "postgres"] as const) {
  test(`stops everything and says why when ${part} is killed`, async () => {
    await copyPrepared();
    const pair = await start();
    await pair.waitForLine(/^tandem ready/, ready);
    const killed = performance.now();
    process.kill(await pidOf(part), "SIGKILL");
    expect(await pair.waitForExit({ timeoutMs: 5_000 })).toEqual({ code: 1, signal: null });
    await everythingEnds();
    expect(performance.now() - killed).toBeLessThan(5_000);
    const name = part === "postgres" ? "PostgreSQL" : `The ${part}`;
    expect(pair.lines("stderr")).toEqual([
      expect.stringMatching(new RegExp(`^tandem: ${name} .*SIGKILL.*\\.log`)),
    ]);
  });
}

describe("when it is killed itself", () => {
  for (const fault of ["none", "gateway:deaf"]) {
    test(`leaves nothing behind, and can be started again at once (fault: ${fault})`, async () => {
      await copyPrepared();
      const first = await start({ STAND_IN_FAULT: fault });
      await first.waitForLine(/^tandem ready/, ready);
      const killed = performance.now();
      first.kill("SIGKILL");
      await first.waitForExit();
      const second = await start();
      await waitFor(async () => !(await isRunning(first, await findProcesses(folder))), {
        describe: "the first to end",
      });
      await second.waitForLine(/^tandem ready/, ready);
      expect(performance.now() - killed).toBeLessThan(10_000);
      second.kill("SIGINT");
      expect(await second.waitForExit({ timeoutMs: 5_000 })).toEqual({ code: 0, signal: null });
    });

    test(`leaves nothing behind 5 s later (fault: ${fault})`, async () => {
      await copyPrepared();
      const pair = await start({ STAND_IN_FAULT: fault });
      await pair.waitForLine(/^tandem ready/, ready);
      const killed = performance.now();
      pair.kill("SIGKILL");
      await pair.waitForExit();
      await everythingEnds();
      expect(performance.now() - killed).toBeLessThan(5_000);
    });
  }
});

async function isRunning({ pid }: SpawnedProcess, found: readonly { pid: number }[]): Promise<boolean> {
  return found.some((each) => each.pid === pid);
}

test("stops everything when the process that started it is killed", async () => {
  await copyPrepared();
  // As npm is above it.
  const script = `require("child_process").spawn(process.execPath, [${JSON.stringify(program)}], { stdio: "inherit" })`;
  const parent = await processes.spawn({ args: ["-e", script], env: environment() });
  await parent.waitForLine(/^tandem ready/, ready);
  const killed = performance.now();
  parent.kill("SIGKILL");
  await everythingEnds();
  expect(performance.now() - killed).toBeLessThan(5_000);
});

test("stops everything on SIGHUP while a service is still starting", async () => {
  await copyPrepared();
  const pair = await start({ STAND_IN_FAULT: "gateway:slow" });
  await pair.waitForLine("assistant is serving", ready);
  pair.kill("SIGHUP");
  expect(await pair.waitForExit({ timeoutMs: 5_000 })).toEqual({ code: 0, signal: null });
  expect(pair.lines().join("\n")).not.toContain("tandem ready");
});

test("stops at once while the database is initialised, and starts well afterwards", async () => {
  const first = await start();
  await first.waitForLine("initialising");
  first.kill("SIGINT");
  expect(await first.waitForExit({ timeoutMs: 5_000 })).toEqual({ code: 0, signal: null });
  await everythingEnds();
  const second = await start();
  await second.waitForLine(/^tandem ready/, ready);
});

test("kills a service that doesn't stop, within 5 s", async () => {
  await copyPrepared();
  const pair = await start({ STAND_IN_FAULT: "gateway:deaf" });
  await pair.waitForLine(/^tandem ready/, ready);
  const told = performance.now();
  pair.kill("SIGTERM");
  expect(await pair.waitForExit({ timeoutMs: 5_000 })).toEqual({ code: 0, signal: null });
  await everythingEnds();
  expect(performance.now() - told).toBeLessThan(5_000);
});

test("passes on why a service can't start", async () => {
  await copyPrepared();
  const pair = await start({ STAND_IN_FAULT: "assistant:fails" });
  expect(await pair.waitForExit(ready)).toEqual({ code: 1, signal: null });
  expect(pair.lines("stderr")).toEqual([
    `tandem: The assistant ended with exit code 1; its log is ${folder}/data/logs/assistant.log. ` +
      `It said: The stars are not right.`,
  ]);
});

test("refuses a second start with the first one's pid", async () => {
  await copyPrepared();
  const first = await start();
  await first.waitForLine(/^tandem ready/, ready);
  const second = await start();
  expect(await second.waitForExit()).toEqual({ code: 1, signal: null });
  expect(second.lines()).toEqual([
    expect.stringMatching(
      `^tandem: Tandem already runs on ${folder}/data \\(process ${first.pid}\\)\\. Stop it first`,
    ),
  ]);
  first.kill("SIGINT");
  expect(await first.waitForExit()).toEqual({ code: 0, signal: null });
});

for (const part of ["gateway", "assistant", "postgres"] as const) {
  test(`says which variable to set when the port of ${part} is taken, before it starts anything`, async () => {
    const taker = createServer().listen({ host: "127.0.0.1", port: ports[part] });
    await once(taker, "listening");
    const pair = await start();
    expect(await pair.waitForExit()).toEqual({ code: 1, signal: null });
    const variable = `TANDEM_${part.toUpperCase()}_PORT`;
    expect(pair.lines()).toEqual([
      `tandem: Port ${ports[part]} of 127.0.0.1 is taken by another program. ` +
        `Stop that program, or set ${variable} to another port.`,
    ]);
    taker.close();
    await once(taker, "close");
  });
}

test("refuses a setting that can't be used, and a data folder that can't be made, in a sentence each", async () => {
  const port = await start({ TANDEM_GATEWAY_PORT: "eighty" });
  expect(await port.waitForExit()).toEqual({ code: 1, signal: null });
  expect(port.lines()).toEqual(["tandem: TANDEM_GATEWAY_PORT must be a whole number from 1 to 65535."]);
  const data = await start({ TANDEM_DATA: "/dev/null/data" });
  expect(await data.waitForExit()).toEqual({ code: 1, signal: null });
  expect(data.lines()).toEqual([
    expect.stringMatching(/^tandem: \/dev\/null\/data can't hold the data \(ENOTDIR/),
  ]);
});
