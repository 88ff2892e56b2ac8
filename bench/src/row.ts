import type { ChannelTls } from "@tandem/rpc";
import type { ServiceSpec, Side } from "./service/service-spec.ts";
import type { Workload } from "./workloads/workload.ts";

/**
 * One way to do one piece of work, as a line of the table. A row is a file `rows/SET/NAME.ts` that exports `row`;
 * it is called SET/NAME. Where there is a SET/postgres or a SET/pgbench, the rows of the set do the same work, and the
 * others are held against these.
 */
export type Row = LoadRow | ProgramRow;

interface AnyRow {
  /** What a line of it says, in words. */
  readonly measures: string;
  /** The row whose throughput this one's is held against, round by round: what differs has its price there. */
  readonly comparedWith?: string;
  /** Its tables are made before anything is measured. */
  readonly workload?: Workload;
  /** The only numbers of calls in flight at which it is measured; all that are asked for where it isn't said. */
  readonly concurrency?: readonly number[];
  /** The service that it calls; rows that ask for the same one share it. */
  readonly service?: ServiceSpec;
}

/** Measured by a closed loop in a process of its own: so many callers, each of which waits for its answer. */
export interface LoadRow extends AnyRow {
  readonly kind: "load";
  /** Runs in the load's process. */
  open(place: LoadPlace): Caller | Promise<Caller>;
}

/** Measured by whatever it runs itself. */
export interface ProgramRow extends AnyRow {
  readonly kind: "program";
  /** Says, where it can't be run here, why; the table repeats it. */
  missing?(place: ProgramPlace): string | undefined;
  /**
   * Resolves within `durationMs` and a little, or when it has done a piece of work whose size is given; rejects where
   * anything failed. What it uses before it says that it begins isn't counted; it need not say so.
   */
  interval(place: ProgramPlace, interval: Interval, begins: () => Promise<void>): Promise<Measured>;
}

/** What a load's process is told. */
export interface LoadPlace {
  /** Of the role that reads and writes rows. */
  readonly databaseUrl: string;
  /** Set where the row asks for a service. */
  readonly service?: ServicePlace;
  /** How many connections to the database there may be, in the process itself or in the service. */
  readonly connections: number;
}

/** How a service is reached. */
export interface ServicePlace {
  readonly address: string;
  readonly tls?: ChannelTls;
  /** Of a pair: its databases, as a superuser connects to them, to prepare what is measured and to look what came of it. */
  readonly databases?: Readonly<Record<Side, string>>;
}

/** What a program is told. */
export interface ProgramPlace extends LoadPlace {
  /** Roles of the assistant's database, by what the service's settings call them. */
  readonly assistantUrls: { readonly database: string; readonly migration: string; readonly dbProxy: string };
  /** How many rows the two databases of a pair are to hold where that is what is measured. */
  readonly mirrorRows: number;
  /** For its files; deleted after the run. */
  readonly folder: string;
  /** The program, where it is installed. */
  readonly pgbench: string | undefined;
}

/** Does one transaction, or whatever the row counts, again and again. */
export interface Caller {
  /** Rejects where the work wasn't done: that ends the run of the row. */
  call(): Promise<void>;
  close(): Promise<void> | void;
}

export interface Interval {
  readonly inFlight: number;
  readonly durationMs: number;
}

/** What one interval came to. */
export interface Measured {
  readonly completed: number;
  readonly elapsedMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Processor time, of all threads. */
  readonly cpuMs: { readonly client?: number; readonly service?: number; readonly database?: number };
  /** The part of the time in which the client's event loop was busy: near 1, the client is the limit. */
  readonly clientBusy?: number;
  /** Resident memory of the service at the end; of a pair, that of both processes. */
  readonly serviceBytes?: number;
}
