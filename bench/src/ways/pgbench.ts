import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { childrenCpuMs } from "../cpu-time.ts";
import type { Interval, Measured, ProgramPlace, ProgramRow } from "../row.ts";
import { percentile } from "../statistics.ts";
import type { Workload } from "../workloads/workload.ts";

/** pgbench with prepared statements: a client in C that does nothing else. */
export function withPgbench(
  workload: Workload,
): Pick<ProgramRow, "kind" | "workload" | "missing" | "interval"> {
  return {
    kind: "program",
    workload,
    missing: ({ pgbench }) =>
      pgbench === undefined
        ? "pgbench is not here: install PostgreSQL, or set TANDEM_BENCH_PGBENCH"
        : undefined,
    interval: async (place, interval) => {
      // As root, nobody else uses this folder: each interval has one of its own for the log.
      const folder = await mkdtemp(join(place.folder, "pgbench-"));
      try {
        return await run(place, { ...interval, folder, script: workload.pgbenchScript ?? "" });
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

interface Run extends Interval {
  readonly folder: string;
  readonly script: string;
}

const STOP_MS = 30_000;
const MAX_THREADS = 2;

async function run({ databaseUrl, connections, pgbench = "" }: ProgramPlace, given: Run): Promise<Measured> {
  const { folder, script, inFlight } = given;
  const url = new URL(databaseUrl);
  const file = join(folder, "script.sql");
  await writeFile(file, script);
  // It has no callers that wait for a connection, and takes whole seconds.
  const clients = Math.min(inFlight, connections);
  const seconds = Math.max(1, Math.round(given.durationMs / 1_000));
  const numbers = { client: clients, jobs: Math.min(clients, MAX_THREADS), time: seconds };
  const before = childrenCpuMs();
  const { stdout } = await promisify(execFile)(
    pgbench,
    [
      "--no-vacuum",
      "--protocol=prepared",
      "--log",
      `--log-prefix=${join(folder, "log")}`,
      `--file=${file}`,
      ...Object.entries(numbers).map(([name, value]) => `--${name}=${value}`),
      `--host=${url.hostname}`,
      `--port=${url.port}`,
      `--username=${url.username}`,
      url.pathname.slice(1),
    ],
    { env: { PGPASSWORD: url.password, PATH: "/usr/bin:/bin" }, timeout: seconds * 1_000 + STOP_MS },
  );
  const after = childrenCpuMs();
  const latencies = await readLatencies(folder);
  const perSecond = Number(/^tps = ([\d.]+)/m.exec(stdout)?.[1]);
  if (!(perSecond > 0) || latencies.length === 0) throw new Error(`pgbench measured nothing:\n${stdout}`);
  return {
    completed: latencies.length,
    // Without the time in which it connects.
    elapsedMs: (latencies.length / perSecond) * 1_000,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    cpuMs: before === undefined || after === undefined ? {} : { client: after - before },
  };
}

/** In milliseconds, ascending: the third column of the log is microseconds. */
async function readLatencies(folder: string): Promise<Float64Array> {
  const files = (await readdir(folder)).filter((name) => name.startsWith("log"));
  const texts = await Promise.all(files.map((name) => readFile(join(folder, name), "utf8")));
  const lines = texts.flatMap((text) => text.trim().split("\n"));
  return Float64Array.from(lines, (line) => Number(line.split(" ")[2]) / 1_000).toSorted();
}
