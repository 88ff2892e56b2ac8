import type { NamedRow } from "./find-rows.ts";
import type { Measured } from "./row.ts";
import { median, type Spread, spreadOf } from "./statistics.ts";

/** What a row came to at a number in flight, round by round. */
export interface Series {
  readonly named: NamedRow;
  readonly inFlight: number;
  readonly rounds: readonly Measured[];
}

/** The medians of a series over its rounds. */
export interface Summary {
  readonly name: string;
  readonly set: string;
  readonly inFlight: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Its throughput to that of the set's row of that name, of the same round, at the same number in flight. */
  readonly toPostgres: number | undefined;
  readonly toPgbench: number | undefined;
  /** The same of its p99: 2 is twice as long. */
  readonly p99ToPostgres: number | undefined;
  /** For one transaction. */
  readonly clientCpuUs: number | undefined;
  readonly serviceCpuUs: number | undefined;
  readonly databaseCpuUs: number | undefined;
  readonly clientBusy: number | undefined;
  readonly serviceBytes: number | undefined;
}

/** What is different about a row: its rounds held one by one against those of another row. */
export interface Price {
  readonly name: string;
  readonly comparedWith: string;
  readonly inFlight: number;
  readonly rounds: number;
  readonly throughput: Spread;
  readonly latency: Spread;
  readonly p99: Spread;
  /** Of all processes that were measured, for one transaction: what else runs on the machine is not in it. */
  readonly cpu: Spread;
}

export function summarise(series: Series, all: readonly Series[]): Summary {
  const { named, inFlight, rounds } = series;
  const overRounds = (of: (measured: Measured) => number | undefined): number | undefined => {
    const values = rounds.flatMap((each) => of(each) ?? []);
    return values.length === 0 ? undefined : median(values);
  };
  const cpuUs = (part: keyof Measured["cpuMs"]): number | undefined =>
    overRounds(({ cpuMs, completed }) => {
      const ms = cpuMs[part];
      return ms === undefined || completed === 0 ? undefined : (ms * 1_000) / completed;
    });
  const ratioTo = (way: string, of: (measured: Measured) => number): number | undefined => {
    const name = `${named.set}/${way}`;
    const base = name === named.name ? undefined : seriesOf(name, inFlight, all);
    return base && ratios(series, base, of).median;
  };
  return {
    name: named.name,
    set: named.set,
    inFlight,
    perSecond: median(rounds.map(perSecond)),
    p50Ms: median(rounds.map(({ p50Ms }) => p50Ms)),
    p99Ms: median(rounds.map(({ p99Ms }) => p99Ms)),
    toPostgres: ratioTo("postgres", perSecond),
    toPgbench: ratioTo("pgbench", perSecond),
    p99ToPostgres: ratioTo("postgres", ({ p99Ms }) => p99Ms),
    clientCpuUs: cpuUs("client"),
    serviceCpuUs: cpuUs("service"),
    databaseCpuUs: cpuUs("database"),
    clientBusy: overRounds(({ clientBusy }) => clientBusy),
    serviceBytes: overRounds(({ serviceBytes }) => serviceBytes),
  };
}

/** The prices of all rows that are held against another one which was measured too. */
export function pricesOf(all: readonly Series[]): readonly Price[] {
  return all.flatMap((series) => {
    const { named, inFlight, rounds } = series;
    const { comparedWith } = named.row;
    const base = comparedWith === undefined ? undefined : seriesOf(comparedWith, inFlight, all);
    if (comparedWith === undefined || base === undefined) return [];
    return [
      {
        name: named.name,
        comparedWith,
        inFlight,
        rounds: rounds.length,
        throughput: ratios(series, base, perSecond),
        latency: ratios(series, base, ({ p50Ms }) => p50Ms),
        p99: ratios(series, base, ({ p99Ms }) => p99Ms),
        cpu: ratios(series, base, cpuPerCall),
      },
    ];
  });
}

export function perSecond({ completed, elapsedMs }: Measured): number {
  return (completed * 1_000) / elapsedMs;
}

function cpuPerCall({ cpuMs, completed }: Measured): number {
  const { client = 0, service = 0, database = 0 } = cpuMs;
  return (client + service + database) / completed;
}

function seriesOf(name: string, inFlight: number, all: readonly Series[]): Series | undefined {
  return all.find((each) => each.named.name === name && each.inFlight === inFlight);
}

// Of the same round: what the machine did to both of them is in neither.
function ratios(series: Series, base: Series, of: (measured: Measured) => number): Spread {
  return spreadOf(
    series.rounds.flatMap((measured, round) => {
      const against = base.rounds[round];
      const ratio = against === undefined ? Number.NaN : of(measured) / of(against);
      return Number.isFinite(ratio) ? [ratio] : [];
    }),
  );
}
