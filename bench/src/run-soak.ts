import { findPgbench } from "./config.ts";
import { perSecond } from "./measurements.ts";
import { OptionError } from "./options.ts";
import { openPlace } from "./place/open-place.ts";
import type { Measured } from "./row.ts";
import type { Run, RunResult } from "./run-bench.ts";
import { currentLoad, describeMachine, type Machine } from "./report/machine.ts";
import { toFigure, toMib, toTable } from "./report/table.ts";
import { writeResults } from "./report/write-results.ts";
import { median } from "./statistics.ts";

// Of which the last quarter is held against the first.
const INTERVALS = 60;
const MIN_INTERVAL_MS = 1_000;

/** An interval of a soak. */
interface SoakInterval extends Measured {
  readonly atMs: number;
}

/**
 * Runs one row for a long time and says whether it stays what it is: throughput, latency and the service's memory
 * of the last quarter against those of the first. A transaction that fails ends it.
 *
 * @throws OptionError where more than one row is selected
 */
export async function runSoak(run: Run & { readonly soakMs: number }): Promise<RunResult> {
  const { rows, options, onProgress, signal, soakMs } = run;
  if (rows.length !== 1) throw new OptionError(`--soak takes one row: --rows says ${rows.length} of them.`);
  const [inFlight = 1] = options.concurrency;
  const durationMs = Math.max(MIN_INTERVAL_MS, soakMs / INTERVALS);
  const machine = await describeMachine(findPgbench());
  await using place = await openPlace({ rows, options, onProgress, signal });
  const [row] = place.rows;
  if (row === undefined) throw new OptionError(place.missing.map(({ why }) => why).join("; "));
  await row.measure({ inFlight, durationMs: MIN_INTERVAL_MS });
  const intervals: SoakInterval[] = [];
  const started = performance.now();
  let failure: string | undefined;
  for (let atMs = 0; atMs < soakMs && failure === undefined; atMs = performance.now() - started) {
    signal.throwIfAborted();
    try {
      const measured = await row.measure({ inFlight, durationMs: Math.min(durationMs, soakMs - atMs) });
      intervals.push({ ...measured, atMs });
      onProgress(
        `soak, ${(atMs / 60_000).toFixed(1)} of ${soakMs / 60_000} min: ${lineOf(measured).join(", ")}`,
      );
    } catch (error) {
      signal.throwIfAborted();
      failure = error instanceof Error ? error.message : String(error);
    }
  }
  const complete = { ...machine, postgres: place.postgresVersion, loadAfter: currentLoad() };
  const name = row.named.name;
  const markdown = toMarkdown(complete, { name, inFlight, soakMs, intervals, failure });
  const json = { machine: complete, name, inFlight, soakMs, intervals, failure };
  const files = await writeResults(machine, { kind: "-soak", folder: options.resultsFolder, markdown, json });
  return { markdown, files, failed: failure !== undefined };
}

interface Soak {
  readonly name: string;
  readonly inFlight: number;
  readonly soakMs: number;
  readonly intervals: readonly SoakInterval[];
  readonly failure: string | undefined;
}

function lineOf(measured: Measured): readonly string[] {
  const { p50Ms, p99Ms, serviceBytes } = measured;
  return [
    `${toFigure(perSecond(measured))}/s`,
    `p50 ${toFigure(p50Ms)} ms`,
    `p99 ${toFigure(p99Ms)} ms`,
    `service ${toMib(serviceBytes)} MiB`,
  ];
}

function toMarkdown(machine: Machine, { name, inFlight, soakMs, intervals, failure }: Soak): string {
  const quarters = [0, 1, 2, 3].map((quarter) =>
    intervals.filter(({ atMs }) => Math.min(3, Math.floor((atMs * 4) / soakMs)) === quarter),
  );
  const lines = quarters.map((quarter, index) => {
    const of = (value: (each: SoakInterval) => number): number => median(quarter.map(value));
    return [
      `quarter ${index + 1}`,
      toFigure(of(perSecond)),
      toFigure(of(({ p50Ms }) => p50Ms)),
      toFigure(of(({ p99Ms }) => p99Ms)),
      toMib(of(({ serviceBytes }) => serviceBytes ?? Number.NaN)),
    ];
  });
  const transactions = intervals.reduce((sum, { completed }) => sum + completed, 0);
  return [
    `# Soak of ${name}, ${toFigure(soakMs / 60_000)} minutes, ${inFlight} in flight, ${machine.commit}`,
    `${machine.startedAt}, ${machine.processors} × ${machine.processor}, Node ${machine.node}, PostgreSQL ${machine.postgres}; load of the machine ${toFigure(machine.loadBefore)} before and ${toFigure(machine.loadAfter)} after.`,
    failure === undefined
      ? `${transactions} transactions, none of which failed.`
      : `FAILED after ${transactions} transactions: ${failure}`,
    toTable(["medians", "per s", "p50 ms", "p99 ms", "service MiB"], lines),
  ].join("\n\n");
}
