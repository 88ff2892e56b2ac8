import { findPgbench } from "../config.ts";
import type { NamedRow } from "../find-rows.ts";
import type { Options } from "../options.ts";
import type { ProgramPlace, Row } from "../row.ts";
import type { ServiceSpec } from "../service/service-spec.ts";
import type { Workload } from "../workloads/workload.ts";
import { startDatabase } from "./database.ts";
import { type Measurable, openRow } from "./measurable.ts";
import { type Service, startService } from "./services.ts";

/** Everything that runs while rows are measured: the database, the services, and a load's process for each row. */
export interface Place extends AsyncDisposable {
  readonly rows: readonly Measurable[];
  readonly services: readonly Service[];
  /** Rows that can't be run here, and why. */
  readonly missing: readonly { readonly name: string; readonly why: string }[];
  readonly postgresVersion: string;
}

export interface PlaceOptions {
  readonly rows: readonly NamedRow[];
  readonly options: Options;
  readonly onProgress: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Starts it all; whoever opened it disposes of it, and then nothing is left. */
export async function openPlace({ rows, options, onProgress, signal }: PlaceOptions): Promise<Place> {
  const { connections, mirrorRows, synchronousCommit } = options;
  await using parts = new AsyncDisposableStack();
  const database = parts.use(await startDatabase({ synchronousCommit, onProgress, signal }));
  const dbProxyUrl = database.urlOf("dbproxy");
  const place: ProgramPlace = {
    databaseUrl: database.urlOf("app"),
    assistantUrls: {
      database: database.urlOf("app"),
      migration: database.urlOf("owner"),
      dbProxy: dbProxyUrl,
    },
    connections,
    mirrorRows,
    folder: database.folder,
    pgbench: findPgbench(),
  };
  const missing = rows.flatMap(({ name, row }) => {
    const why = row.kind === "program" ? row.missing?.(place) : undefined;
    return why === undefined ? [] : [{ name, why }];
  });
  const present = rows.filter(({ name }) => missing.every((each) => each.name !== name));

  onProgress("making tables");
  for (const workload of workloadsOf(present)) await database.define(workload);
  await database.settle();
  onProgress("starting the services");
  const services = new Map<string, Service>();
  const { folder } = database;
  const { adminUrl } = database.server;
  await startAll([...specsOf(present)], async ([key, spec]) => {
    services.set(key, parts.use(await startService({ spec, dbProxyUrl, adminUrl, connections, folder })));
  });
  onProgress("starting the load's processes");
  const databasePid = database.server.pid;
  const open = await startAll(present, async (named) => {
    const service = services.get(keyOf(named.row) ?? "");
    return parts.use(await openRow({ named, place, service, databasePid }));
  });
  for (const service of services.values()) await service.settle();
  signal.throwIfAborted();
  const running = parts.move();
  return {
    rows: open,
    services: [...services.values()],
    missing,
    postgresVersion: database.server.version,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Rejects, where one of them fails, when all others are started: what disposes of them must know them. */
async function startAll<T, R>(list: readonly T[], start: (each: T) => Promise<R>): Promise<readonly R[]> {
  const settled = await Promise.allSettled(list.map(start));
  return settled.map((each) => {
    if (each.status === "rejected") throw each.reason;
    return each.value;
  });
}

function workloadsOf(rows: readonly NamedRow[]): ReadonlySet<Workload> {
  return new Set(rows.flatMap(({ row }) => row.workload ?? []));
}

function specsOf(rows: readonly NamedRow[]): ReadonlyMap<string, ServiceSpec> {
  return new Map(
    rows.flatMap(({ row }) => {
      const key = keyOf(row);
      return row.service !== undefined && key !== undefined ? [[key, row.service]] : [];
    }),
  );
}

function keyOf(row: Row): string | undefined {
  return row.service && JSON.stringify(row.service);
}
