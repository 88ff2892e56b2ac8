import { expect, it } from "vitest";
import type { Summary } from "../measurements.ts";
import { type Report, toMarkdown } from "./report.ts";

function summary(name: string, p50Ms: number): Summary {
  const nothing = undefined;
  return {
    name,
    set: name.slice(0, name.indexOf("/")),
    inFlight: 1,
    perSecond: 1_000 / p50Ms,
    p50Ms,
    p99Ms: p50Ms * 2,
    toPostgres: 0.51,
    toPgbench: nothing,
    p99ToPostgres: 4,
    clientCpuUs: 120,
    serviceCpuUs: nothing,
    databaseCpuUs: nothing,
    clientBusy: 0.95,
    serviceBytes: nothing,
  };
}

const report: Report = {
  machine: {
    processor: "a processor",
    processors: 2,
    memoryBytes: 2 ** 30,
    system: "linux",
    node: "v24",
    postgres: "18.4",
    pgbench: undefined,
    commit: "abcdef0",
    startedAt: "2026-01-02T03:04:05.678Z",
    loadBefore: 0.1,
    loadAfter: 2.1,
  },
  options: {
    rounds: 5,
    intervalMs: 2_000,
    warmUpMs: 3_000,
    concurrency: [1],
    connections: 10,
    synchronousCommit: "on",
  },
  rows: [{ name: "steps-1/tandem", measures: "one step" }],
  summaries: [
    summary("steps-1/tandem", 1),
    summary("steps-100/tandem", 10.9),
    summary("steps-1/postgres", 0.5),
  ],
  prices: [],
  services: [],
  missing: [{ name: "steps-1/pgbench", why: "pgbench is not here" }],
  failures: [{ name: "steps-10/tandem", why: "it broke" }],
};

it("says where it was measured, what is missing and what failed", () => {
  const text = toMarkdown(report);
  expect(text).toContain("# 2026-01-02 03:04 UTC, abcdef0\n");
  expect(text).toContain("PostgreSQL 18.4 (fsync on, synchronous_commit on), no pgbench.");
  expect(text).toContain("## Not here\n\n- steps-1/pgbench: pgbench is not here\n");
  expect(text).toContain("## FAILED\n\n- steps-10/tandem: it broke\n");
});

it("has a line for each row, and a mark where the client is the limit", () => {
  const line = toMarkdown(report)
    .split("\n")
    .find((each) => each.startsWith("| tandem"));
  expect(line?.split("|").map((cell) => cell.trim())).toEqual([
    "",
    "tandem",
    "1",
    "1000",
    "1.00",
    "2.00",
    "0.51",
    "–",
    "4.00",
    "120",
    "–",
    "–",
    "95 % !",
    "–",
    "",
  ]);
});

it("says what a step and each further one costs, and leaves it open where it wasn't measured", () => {
  const [, table = ""] = toMarkdown(report).split("## What a step costs");
  expect(table).toMatch(/^\| tandem +\| +1\.00 \| +10\.9 \| +109 \| +100 \|$/m);
  expect(table).toMatch(/^\| postgres +\| +0\.50 \| +– \| +– \| +– \|$/m);
});
