import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
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

// What the processes of a run have in common: their environment says to which run they belong.
async function runBench(mark: string, ...args: readonly string[]): Promise<SpawnedProcess> {
  return processes.spawn({
    args: [main, "--results", folder, ...args],
    env: { TANDEM_BENCH_TEST: mark, TMPDIR: folder },
  });
}

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
  const run = await runBench(
    `${folder}-whole`,
    `--rows=pair/pgbench,${names.join()}`,
    "--rounds=1",
    "--seconds=0.1",
    "--warm-up=0",
    "--concurrency=4",
  );
  const exit = await run.waitForExit({ timeoutMs: 90_000 });
  expect(run.lines("stderr").filter((line) => line.includes("FAILED"))).toEqual([]);
  expect(exit.code).toBe(0);
  expect(await findProcesses(`${folder}-whole`)).toEqual([]);

  const files = await readdir(folder);
  expect(files.map((name) => name.replace(/^.*\./, ".")).toSorted(), "nothing but results").toEqual([
    ".json",
    ".md",
  ]);
  const read = async (ending: string): Promise<string> =>
    readFile(join(folder, files.find((name) => name.endsWith(ending)) ?? ""), "utf8");
  const { summaries, missing } = JSON.parse(await read(".json")) as Report;
  const hasPgbench = findPgbench() !== undefined;
  if (!hasPgbench) expect(missing.map(({ name }) => name)).toEqual(["pair/pgbench"]);
  const expected = hasPgbench ? [...names, "pair/pgbench"] : names;
  expect(summaries.map(({ name }) => name).toSorted()).toEqual(expected.toSorted());
  for (const { name, perSecond, p50Ms, p99Ms } of summaries) {
    expect(perSecond, name).toBeGreaterThan(1);
    expect(p50Ms, name).toBeGreaterThan(0);
    expect(p99Ms, name).toBeGreaterThanOrEqual(p50Ms);
  }
  const tandem = summaries.find(({ name }) => name === "pair/tandem");
  expect(tandem?.toPostgres).toBeGreaterThan(0);
  expect(tandem?.clientCpuUs).toBeGreaterThan(0);
  expect(tandem?.serviceCpuUs).toBeGreaterThan(0);

  const text = await read(".md");
  expect(text).toContain("## pair\n");
  expect(text).toMatch(/^\| tandem +\| +4 \| /m);
}, 100_000);

it("leaves nothing behind when it is interrupted", async () => {
  const run = await runBench(
    `${folder}-interrupted`,
    "--rows=pair/postgres",
    "--seconds=0.1",
    "--warm-up=0",
    "--rounds=1000",
  );
  await run.waitForLine("round 1 of 1000", { timeoutMs: 60_000 });
  run.kill("SIGINT");
  expect((await run.waitForExit({ timeoutMs: 30_000 })).code).toBe(1);
  expect(run.lines("stderr").at(-1)).toContain("stopped by SIGINT; nothing was written");
  expect(await findProcesses(`${folder}-interrupted`)).toEqual([]);
  expect((await readdir(folder)).filter((name) => name.startsWith("tandem-bench"))).toEqual([]);
}, 100_000);

it("runs one row for long, and tells the quarters of that time apart", async () => {
  const run = await runBench(`${folder}-soak`, "--soak=2s", "--rows=pair/postgres");
  expect((await run.waitForExit({ timeoutMs: 60_000 })).code).toBe(0);
  const text = run.lines("stdout").join("\n");
  expect(text).toMatch(/^# Soak of pair\/postgres, 0\.03 minutes, 16 in flight/m);
  expect(text).toMatch(/^\d+ transactions, none of which failed\.$/m);
  expect(text).toMatch(/^\| quarter 1 +\| +[\d.]+ \|/m);
}, 100_000);

it("says what rows there are when it is asked for one that isn't there", async () => {
  const run = await runBench(`${folder}-unknown`, "--rows=pair,nonsense");
  expect((await run.waitForExit()).code).toBe(1);
  expect(run.lines("stderr")).toEqual([
    expect.stringMatching(
      /^bench: There is no row and no set of rows called nonsense\. The sets are .*\bpair\b/,
    ),
  ]);
});
