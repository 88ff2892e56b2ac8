import { drizzle, type PostgresJsDatabase } from "drizzle-orm/postgres-js";
import type postgres from "postgres";
import { ConnectError } from "./connect-error.ts";
import { parseDatabaseUrl } from "./database-url.ts";
import { createDriver, keepDatesAsText, type Notice } from "./driver.ts";
import { postgresLimits } from "./limits.ts";
import { placeOf } from "./open-socket.ts";
import { parseServerInfo, type ServerInfo, serverInfoStatement, toConnectError } from "./server-check.ts";

/** Where to connect, and within which bounds; what is left out is in `postgresLimits`. */
export interface DatabaseOptions {
  readonly url: string;
  /** Seen in pg_stat_activity and in the server's log. */
  readonly applicationName: string;
  readonly poolSize?: number;
  readonly connectTimeoutMs?: number;
  readonly statementTimeoutMs?: number;
  readonly lockTimeoutMs?: number;
  readonly idleInTransactionTimeoutMs?: number;
  /** False behind a pooler that hands each transaction another connection. */
  readonly preparedStatements?: boolean;
  /** The authorities to trust with `sslmode=verify-full`, as PEM; the system's where it isn't given. */
  readonly certificateAuthority?: string;
  /** Given what PostgreSQL says beside results; nothing is printed otherwise. */
  readonly onNotice?: (notice: Notice) => void;
}

export interface PingOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Rows as objects by column name. int8 is a bigint; dates and times are text, lossless. A NULL within an
 * array is not read as one: `postgres` takes it for the text "NULL".
 */
export type Rows<T extends object> = readonly T[] & { readonly count: number };

/**
 * Runs one statement outside of a transaction, with what is interpolated as bind values. It offers no
 * transaction, no cancellation and no text without parameters: on `postgres` they are not safe. The bounds
 * on its time are PostgreSQL's; on a link that has gone silent it waits as long as TCP does.
 */
export type Sql = <T extends object = Readonly<Record<string, unknown>>>(
  text: TemplateStringsArray,
  ...values: readonly SqlValue[]
) => Promise<Rows<T>>;

/** What can be interpolated into `sql`. */
export type SqlValue = string | number | bigint | boolean | Date | Uint8Array | null | SqlList;

/** A value of an array type, to any depth. */
export type SqlList = readonly (string | number | bigint | boolean | Date | null | SqlList)[];

/** drizzle's query builder without transactions, for the reason that `Sql` has none. */
export type Queries = Omit<PostgresJsDatabase, "transaction" | "$client" | "_">;

/**
 * A pool of connections to one database. It connects when it is first used and again after a loss, so that
 * it can be made before the server is up. Its errors are the driver's: `translateDatabaseError` makes
 * HandlerErrors of them. Whoever created it closes it.
 */
export interface Database {
  readonly sql: Sql;
  readonly drizzle: Queries;
  /** Asks the server over one of the pool's connections. Fails with a ConnectError that says why. */
  ping(options?: PingOptions): Promise<ServerInfo>;
  /** Refuses what is new, lets running statements finish for so long, and leaves no socket behind. */
  close(options?: { readonly timeoutMs?: number }): Promise<void>;
}

/** Throws a ConnectError where the URL can't be used; nothing else is tried yet. */
export function createDatabase(options: DatabaseOptions): Database {
  const address = parseDatabaseUrl(options.url);
  const limits = { ...postgresLimits, ...options };
  const driver = createDriver({
    address,
    applicationName: options.applicationName,
    connectTimeoutMs: limits.connectTimeoutMs,
    poolSize: limits.poolSize,
    preparedStatements: options.preparedStatements ?? true,
    connectionLifetimeMs: limits.connectionLifetimeMs,
    ...(options.certificateAuthority === undefined
      ? {}
      : { certificateAuthority: options.certificateAuthority }),
    parameters: {
      // Temporary tables last: nothing of a session's own stands before the schema's tables.
      search_path: "public, pg_temp",
      statement_timeout: String(limits.statementTimeoutMs),
      lock_timeout: String(limits.lockTimeoutMs),
      idle_in_transaction_session_timeout: String(
        options.idleInTransactionTimeoutMs ?? limits.transactionTimeoutMs,
      ),
    },
    maxConnects: Number.POSITIVE_INFINITY,
    onNotice: options.onNotice ?? (() => undefined),
  });
  const queries = drizzle(driver.client);
  keepDatesAsText(driver.client.options);
  return {
    sql: toSql(driver.client),
    drizzle: queries,
    ping: async ({ timeoutMs = postgresLimits.pingTimeoutMs, signal } = {}) => {
      const bound = AbortSignal.timeout(timeoutMs);
      const asked = driver.client.unsafe<Record<string, unknown>[]>(serverInfoStatement);
      try {
        const [row] = await abortable(asked, signal === undefined ? bound : AbortSignal.any([bound, signal]));
        return parseServerInfo(row);
      } catch (error) {
        signal?.throwIfAborted();
        if (!bound.aborted) throw toConnectError(error, address);
        const message = `PostgreSQL at ${placeOf(address)} did not answer within ${timeoutMs} ms.`;
        throw new ConnectError({ failure: "TIMED_OUT", message, cause: error });
      }
    },
    close: ({ timeoutMs = postgresLimits.closeTimeoutMs } = {}) => driver.close(timeoutMs),
  };
}

function toSql(client: postgres.Sql<{ int8: bigint }>): Sql {
  return async <T extends object>(
    text: TemplateStringsArray,
    ...values: readonly SqlValue[]
  ): Promise<Rows<T>> => {
    const parameters = values.map((value) => (isList(value) ? toArrayText(value) : value));
    const rows = await client<T[]>(text, ...parameters);
    return rows;
  };
}

// `postgres` takes the type of a list's first element for the type of the list, so it is given the text that
// PostgreSQL reads: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
function toArrayText(list: SqlList): string {
  const elements = list.map((element) => {
    if (isList(element)) return toArrayText(element);
    const text = element instanceof Date ? element.toISOString() : String(element);
    return element === null ? "NULL" : `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
  });
  return `{${elements.join(",")}}`;
}

function isList(value: SqlValue): value is SqlList {
  return Array.isArray(value);
}

function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
    if (signal.aborted) abort();
  });
}
