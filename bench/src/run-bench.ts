import { findPgbench } from "./config.ts";
import type { NamedRow } from "./find-rows.ts";
import { pricesOf, type Series, summarise } from "./measurements.ts";
import type { Options } from "./options.ts";
import { openPlace, type Place } from "./place/open-place.ts";
import { currentLoad, describeMachine } from "./report/machine.ts";
import { describeRows, type Report, type ServiceMemory, toMarkdown } from "./report/report.ts";
import { writeResults } from "./report/write-results.ts";
import { runRounds } from "./run-rounds.ts";

export interface Run {
  readonly rows: readonly NamedRow[];
  readonly options: Options;
  readonly onProgress: (line: string) => void;
  /** Ends the run before its time; nothing is left then either. */
  readonly signal: AbortSignal;
}

export interface RunResult {
  readonly markdown: string;
  /** What was written. */
  readonly files: readonly string[];
  /** Something that was to be measured failed. */
  readonly failed: boolean;
}

/** Measures the rows, side by side, and writes what came of it. */
export async function runBench({ rows, options, onProgress, signal }: Run): Promise<RunResult> {
  const machine = await describeMachine(findPgbench());
  await using place = await openPlace({ rows, options, onProgress, signal });
  const { series, failures } = await runRounds(place, options, { onProgress, signal });
  const { rounds, intervalMs, warmUpMs, concurrency, connections, synchronousCommit } = options;
  const report: Report = {
    machine: { ...machine, postgres: place.postgresVersion, loadAfter: currentLoad() },
    options: { rounds, intervalMs, warmUpMs, concurrency, connections, synchronousCommit },
    rows: describeRows(rows),
    summaries: series.map((each) => summarise(each, series)),
    prices: pricesOf(series),
    services: memoryOf(place, series),
    missing: place.missing,
    failures,
  };
  const markdown = toMarkdown(report);
  const json = { ...report, series: series.map(toJson) };
  const files = await writeResults(machine, { kind: "", folder: options.resultsFolder, markdown, json });
  return { markdown, files, failed: failures.length > 0 };
}

// Of all the rows that it served.
function memoryOf({ rows, services }: Place, series: readonly Series[]): readonly ServiceMemory[] {
  return services.flatMap((service) => {
    const own = new Set(rows.filter((row) => row.service === service).map(({ named }) => named.name));
    const seen = series
      .filter(({ named }) => own.has(named.name))
      .flatMap(({ rounds }) => rounds.flatMap(({ serviceBytes }) => serviceBytes ?? []));
    const atRestBytes = service.atRest.residentBytes;
    if (atRestBytes === undefined) return [];
    return { name: service.name, atRestBytes, underLoadBytes: Math.max(atRestBytes, ...seen) };
  });
}

function toJson({ named, inFlight, rounds }: Series): unknown {
  return { name: named.name, inFlight, rounds };
}
