import type { NamedRow } from "../find-rows.ts";
import type { Price, Summary } from "../measurements.ts";
import type { Options } from "../options.ts";
import type { Spread } from "../statistics.ts";
import type { Machine } from "./machine.ts";
import { stepsTable } from "./steps-table.ts";
import { toFigure, toMib, toTable } from "./table.ts";

/** Everything that a run has found, as it is written. */
export interface Report {
  readonly machine: Machine;
  readonly options: Pick<
    Options,
    "rounds" | "intervalMs" | "warmUpMs" | "concurrency" | "connections" | "synchronousCommit"
  >;
  readonly rows: readonly { readonly name: string; readonly measures: string }[];
  readonly summaries: readonly Summary[];
  readonly prices: readonly Price[];
  readonly services: readonly ServiceMemory[];
  readonly missing: readonly { readonly name: string; readonly why: string }[];
  readonly failures: readonly { readonly name: string; readonly why: string }[];
}

export interface ServiceMemory {
  readonly name: string;
  readonly atRestBytes: number;
  /** The most that was seen at the end of an interval. */
  readonly underLoadBytes: number;
}

/** A client that is busy for more than this part of the time is what limits its row. */
const BUSY = 0.9;

export function describeRows(rows: readonly NamedRow[]): Report["rows"] {
  return rows.map(({ name, row }) => ({ name, measures: row.measures }));
}

/** The report for people: tables in Markdown that can be read in a terminal as well. */
export function toMarkdown(report: Report): string {
  const sets = Map.groupBy(report.summaries, ({ set }) => set);
  const sections = [...sets].map(
    ([set, summaries]) => `## ${set}\n\n${meanings(report, set)}\n\n${rowsTable(summaries)}`,
  );
  const steps = stepsTable(report.summaries);
  return [
    `# ${report.machine.startedAt.slice(0, 16).replace("T", " ")} UTC, ${report.machine.commit}`,
    describe(report),
    ...sections,
    ...(steps === "" ? [] : [`## What a step costs\n\n${steps}`]),
    ...(report.prices.length === 0 ? [] : [`## Prices\n\n${PRICES}\n\n${pricesTable(report.prices)}`]),
    ...(report.services.length === 0
      ? []
      : [`## Memory of the services, MiB\n\n${memoryTable(report.services)}`]),
    ...(report.missing.length === 0 ? [] : [`## Not here\n\n${lines(report.missing)}`]),
    ...(report.failures.length === 0 ? [] : [`## FAILED\n\n${lines(report.failures)}`]),
    LEGEND,
  ]
    .join("\n\n")
    .concat("\n");
}

const PRICES = `A row held against another one of the same round: a throughput of 0.95 is 5 % less. The median of the rounds, and
the quartiles between which half of them are. p50 and p99 are latencies, processor time that of all three processes for
one transaction, which other programs on the machine change least.`;

const LEGEND = `\`× postgres\`, \`× pgbench\`: throughput held against that row of the same set and round, the median of the rounds;
\`p99 × postgres\`: the same of p99, where less is better.
\`µs\`: processor time for one transaction, of all of a process's threads; the database's is that of all its processes.
\`busy\`: the part of the time in which the event loop of the process that makes the load was at work; a \`!\` stands
where that is more than ${BUSY * 100} %, so that the client is what limits the row. pgbench has at most as many clients as there are
connections: who waits for a connection in the other rows is not there, so that its latencies are shorter.
All figures are medians over the rounds.`;

function describe({ machine, options }: Report): string {
  const { rounds, intervalMs, warmUpMs, connections, synchronousCommit } = options;
  return [
    `${machine.processors} × ${machine.processor}, ${toMib(machine.memoryBytes)} MiB, ${machine.system}; Node ${machine.node},`,
    `PostgreSQL ${machine.postgres} (fsync on, synchronous_commit ${synchronousCommit}), ${machine.pgbench ?? "no pgbench"}.`,
    `Client, service and database on this machine, each in a process of its own; load of the machine ${toFigure(machine.loadBefore)} before and ${toFigure(machine.loadAfter)} after.`,
    `${rounds} rounds of ${intervalMs / 1_000} s for each row and number in flight, interleaved, after one of ${warmUpMs / 1_000} s that isn't counted; ${connections} connections to the database.`,
  ].join("\n");
}

function meanings({ rows }: Report, set: string): string {
  return rows
    .filter(({ name }) => name.startsWith(`${set}/`))
    .map(({ name, measures }) => `- \`${name.slice(set.length + 1)}\`: ${measures}`)
    .join("\n");
}

function rowsTable(summaries: readonly Summary[]): string {
  const head = [
    "row",
    "in flight",
    "per s",
    "p50 ms",
    "p99 ms",
    "× postgres",
    "× pgbench",
    "p99 × postgres",
    "µs client",
    "µs service",
    "µs database",
    "busy",
    "service MiB",
  ];
  return toTable(
    head,
    summaries.map((each) => [
      each.name.slice(each.set.length + 1),
      String(each.inFlight),
      toFigure(each.perSecond),
      toFigure(each.p50Ms),
      toFigure(each.p99Ms),
      toFigure(each.toPostgres),
      toFigure(each.toPgbench),
      toFigure(each.p99ToPostgres),
      toFigure(each.clientCpuUs),
      toFigure(each.serviceCpuUs),
      toFigure(each.databaseCpuUs),
      toBusy(each.clientBusy),
      toMib(each.serviceBytes),
    ]),
  );
}

function toBusy(part: number | undefined): string {
  return part === undefined ? "–" : `${(part * 100).toFixed(0)} %${part > BUSY ? " !" : ""}`;
}

function pricesTable(prices: readonly Price[]): string {
  const toSpread = ({ median, lower, upper }: Spread): string =>
    Number.isNaN(median) ? "–" : `${median.toFixed(3)} (${lower.toFixed(3)}–${upper.toFixed(3)})`;
  return toTable(
    ["row", "held against", "in flight", "rounds", "throughput", "p50", "p99", "processor time"],
    prices.map(({ name, comparedWith, inFlight, rounds, throughput, latency, p99, cpu }) => [
      name,
      comparedWith,
      String(inFlight),
      String(rounds),
      toSpread(throughput),
      toSpread(latency),
      toSpread(p99),
      toSpread(cpu),
    ]),
  );
}

function memoryTable(services: readonly ServiceMemory[]): string {
  return toTable(
    ["process", "at rest", "under load, at most"],
    services.map(({ name, atRestBytes, underLoadBytes }) => [
      name,
      toMib(atRestBytes),
      toMib(underLoadBytes),
    ]),
  );
}

function lines(list: readonly { readonly name: string; readonly why: string }[]): string {
  return list.map(({ name, why }) => `- ${name}: ${why}`).join("\n");
}
