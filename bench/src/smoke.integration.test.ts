import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createProcesses, findProcesses, type SpawnedProcess } from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { findPgbench } from "./config.ts";
import type { Report } from "./report/report.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));
const processes = createProcesses();

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-smoke-"));
});
afterAll(async () => {
  await processes.end();
  await rm(folder, { recursive: true, force: true });
});

/** A run with a folder of its own, which its processes have in their environment: it says whose they are. */
async function runBench(name: string, ...args: readonly string[]): Promise<Run> {
  const own = join(folder, name);
  await mkdir(own);
  const process = await processes.spawn({
    args: [main, "--results", join(own, "results"), ...args],
    env: { TANDEM_BENCH_TEST: own, TMPDIR: own },
  });
  return { process, folder: own };
}

interface Run {
  readonly process: SpawnedProcess;
  readonly folder: string;
}

/** Fails unless all rows were measured, and nothing is left but the results; gives these. */
async function resultsOf(run: Run): Promise<{ readonly report: Report; readonly text: string }> {
  const exit = await run.process.waitForExit({ timeoutMs: 150_000 });
  expect(run.process.lines("stderr").filter((line) => line.includes("FAILED"))).toEqual([]);
  expect(exit.code).toBe(0);
  await expectNothingLeft(run, ["results"]);
  const results = join(run.folder, "results");
  const files = (await readdir(results)).toSorted();
  expect(files.map((name) => name.replace(/^.*\./, "."))).toEqual([".json", ".md"]);
  const [report = "", text = ""] = await Promise.all(
    files.map((name) => readFile(join(results, name), "utf8")),
  );
  return { report: JSON.parse(report) as Report, text };
}

async function expectNothingLeft(run: Run, files: readonly string[]): Promise<void> {
  expect(await findProcesses(run.folder)).toEqual([]);
  expect(await readdir(run.folder)).toEqual(files);
}

function expectFigures({ summaries }: Report, names: readonly string[]): void {
  expect(summaries.map(({ name }) => name).toSorted()).toEqual(names.toSorted());
  for (const { name, perSecond, p50Ms, p99Ms } of summaries) {
    expect(perSecond, name).toBeGreaterThan(0);
    expect(p50Ms, name).toBeGreaterThan(0);
    expect(p99Ms, name).toBeGreaterThanOrEqual(p50Ms);
  }
}

const short = ["--rounds=1", "--seconds=0.1", "--warm-up=0", "--concurrency=4"];

// One of each way.
const names = [
  "probe/tandem-tls",
  "pair/postgres",
  "pair/tandem",
  "pair/tandem-all",
  "pair/contract-without-id",
  "pair/stream-bare",
  "pair/unary-bare-http2",
  "flags/single-gc",
];

it("measures rows side by side, writes what it found, and leaves nothing behind", async () => {
  const run = await runBench("whole", `--rows=pair/pgbench,${names.join()}`, ...short);
  const { report, text } = await resultsOf(run);
  const hasPgbench = findPgbench() !== undefined;
  if (!hasPgbench) expect(report.missing.map(({ name }) => name)).toEqual(["pair/pgbench"]);
  expectFigures(report, hasPgbench ? [...names, "pair/pgbench"] : names);
  const tandem = report.summaries.find(({ name }) => name === "pair/tandem");
  expect(tandem?.toPostgres).toBeGreaterThan(0);
  expect(tandem?.clientCpuUs).toBeGreaterThan(0);
  expect(tandem?.serviceCpuUs).toBeGreaterThan(0);
  expect(text).toContain("## pair\n");
  expect(text).toMatch(/^\| tandem +\| +4 \| /m);
}, 160_000);

// One of each way here, too. What the services answer is checked by the rows themselves.
const ofPairs = [
  "invites/create-postgres",
  "invites/create-assistant",
  "invites/redeem-gateway",
  "mirror/to-assistant",
  "mirror/to-gateway",
  "mirror/verify",
];

it("measures both services as they are run, whoever decides, and leaves nothing behind", async () => {
  const run = await runBench("pairs", `--rows=${ofPairs.join()}`, "--mirror-rows=1000", ...short);
  const { report } = await resultsOf(run);
  expectFigures(report, ofPairs);
  expect(report.services.map(({ name }) => name).toSorted()).toEqual([
    "pair: the assistant decides",
    "pair: the assistant decides (verify)",
    "pair: the gateway decides",
  ]);
}, 160_000);

it("leaves nothing behind when it is interrupted", async () => {
  const args = ["--rows=pair/postgres", "--seconds=0.1", "--warm-up=0", "--rounds=1000"];
  const run = await runBench("interrupted", ...args);
  await run.process.waitForLine("round 1 of 1000", { timeoutMs: 60_000 });
  run.process.kill("SIGINT");
  expect((await run.process.waitForExit({ timeoutMs: 30_000 })).code).toBe(1);
  expect(run.process.lines("stderr").at(-1)).toContain("stopped by SIGINT; nothing was written");
  await expectNothingLeft(run, []);
}, 100_000);

it("runs one row for long, and tells the quarters of that time apart", async () => {
  const { process: run } = await runBench("soak", "--soak=2s", "--rows=pair/postgres");
  expect((await run.waitForExit({ timeoutMs: 60_000 })).code).toBe(0);
  const text = run.lines("stdout").join("\n");
  expect(text).toMatch(/^# Soak of pair\/postgres, 0\.03 minutes, 16 in flight/m);
  expect(text).toMatch(/^\d+ transactions, none of which failed\.$/m);
  expect(text).toMatch(/^\| quarter 1 +\| +[\d.]+ \|/m);
}, 100_000);

it("says what rows there are when it is asked for one that isn't there", async () => {
  const { process: run } = await runBench("unknown", "--rows=pair,nonsense");
  expect((await run.waitForExit()).code).toBe(1);
  expect(run.lines("stderr")).toEqual([
    expect.stringMatching(
      /^bench: There is no row and no set of rows called nonsense\. The sets are .*\bpair\b/,
    ),
  ]);
});
