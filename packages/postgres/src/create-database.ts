import { unlessAborted } from "@tandem/rpc";
import {
  type Connection,
  type ConnectionOptions,
  type Notice,
  openConnection,
  type ResultRows,
  type Statement,
} from "./connection.ts";
import { createConnectionPool } from "./connection-pool.ts";
import { ConnectError } from "./connect-error.ts";
import { parseDatabaseUrl } from "./database-url.ts";
import { postgresLimits } from "./limits.ts";
import { placeOf } from "./open-socket.ts";
import { createQueries, type Queries } from "./queries.ts";
import { parseServerInfo, type ServerInfo, serverInfoStatement, toConnectError } from "./server-check.ts";
import { createSql, type RunStatement, type Sql } from "./sql.ts";
import { refuseControl, runTransaction, type Transaction, type TransactionOptions } from "./transaction.ts";

/** Where to connect, and within which bounds; what is left out is in `postgresLimits`. */
export interface DatabaseOptions {
  readonly url: string;
  /** Seen in pg_stat_activity and in the server's log. */
  readonly applicationName: string;
  readonly poolSize?: number;
  /** How many statements and transactions wait for a connection; what comes beyond is refused at once. */
  readonly maxWaiting?: number;
  readonly waitTimeoutMs?: number;
  readonly connectTimeoutMs?: number;
  readonly connectionLifetimeMs?: number;
  readonly statementTimeoutMs?: number;
  readonly lockTimeoutMs?: number;
  readonly transactionTimeoutMs?: number;
  readonly idleInTransactionTimeoutMs?: number;
  /** How much longer than its own bound PostgreSQL is waited for, before the link is taken for dead. */
  readonly answerMarginMs?: number;
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
 * A bounded number of connections to one database. It connects when it is first used and again after a loss, so
 * that it can be made before the server is up. A connection that was lost, or that nobody can be sure of, is
 * never used again. Whoever created it closes it.
 */
export interface Database {
  readonly sql: Sql;
  readonly drizzle: Queries;
  readonly run: RunStatement;
  /**
   * Runs a body in a transaction and commits what it did, or nothing: it resolves where PostgreSQL has said
   * COMMIT, and there alone. What the body throws of its own it throws on. An error behind which the database is
   * comes as a HandlerError: its outcome is UNKNOWN (COMMIT_OUTCOME_UNKNOWN) where COMMIT was sent and the
   * answer lost, and NOT_COMMITTED otherwise. It is not run again by itself. A body that uses the database
   * itself waits for a second connection while it holds one: within it, everything goes through `Transaction`.
   */
  transaction<T>(body: (transaction: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /** Asks the server over one of the pool's connections. Fails with a ConnectError that says why. */
  ping(options?: PingOptions): Promise<ServerInfo>;
  /** Refuses what is new, lets running statements finish for so long, and leaves no socket behind. */
  close(options?: { readonly timeoutMs?: number }): Promise<void>;
}

/** Throws a ConnectError where the URL can't be used; nothing else is tried yet. */
export function createDatabase(options: DatabaseOptions): Database {
  const limits = { ...postgresLimits, ...options };
  const connectionOptions = toConnectionOptions(limits);
  const { address } = connectionOptions;
  const pool = createConnectionPool({
    maxWaiting: limits.poolSize * limits.waitingPerConnection,
    ...limits,
    open: (signal) => openConnection({ ...connectionOptions, signal }),
  });
  const bound = { answerTimeoutMs: limits.statementTimeoutMs + limits.answerMarginMs };
  const runPlain = async (connection: Connection, statement: Statement): Promise<ResultRows> => {
    const rows = await connection.run(statement, bound);
    try {
      return refuseControl(rows);
    } catch (error) {
      // Nobody else is to have what it left on the connection.
      connection.destroy();
      throw error;
    }
  };
  const run: RunStatement = (statement) => pool.use((connection) => runPlain(connection, statement));
  return {
    sql: createSql(run),
    drizzle: createQueries(run),
    run,
    transaction: (body, { timeoutMs = limits.transactionTimeoutMs, ...rest } = {}) =>
      runTransaction(pool, body, { ...rest, bounds: { ...limits, timeoutMs } }),
    ping: async ({ timeoutMs = postgresLimits.pingTimeoutMs, signal } = {}) => {
      const timeUp = AbortSignal.timeout(timeoutMs);
      const patience = signal === undefined ? timeUp : AbortSignal.any([timeUp, signal]);
      try {
        const asked = pool.use((on) => runPlain(on, { text: serverInfoStatement }), patience);
        const [row] = await unlessAborted(asked, patience);
        return parseServerInfo(row);
      } catch (error) {
        signal?.throwIfAborted();
        if (!timeUp.aborted) throw toConnectError(error, address);
        const message = `PostgreSQL at ${placeOf(address)} did not answer within ${timeoutMs} ms.`;
        throw new ConnectError({ failure: "TIMED_OUT", message, cause: error });
      }
    },
    close: ({ timeoutMs = postgresLimits.closeTimeoutMs } = {}) => pool.close(timeoutMs),
  };
}

type SessionLimits = Required<
  Pick<DatabaseOptions, "connectTimeoutMs" | "statementTimeoutMs" | "lockTimeoutMs" | "transactionTimeoutMs">
>;

function toConnectionOptions(limits: DatabaseOptions & SessionLimits): ConnectionOptions {
  return {
    preparedStatements: true,
    onNotice: () => undefined,
    ...limits,
    address: parseDatabaseUrl(limits.url),
    parameters: {
      // Temporary tables last: nothing of a session's own stands before the schema's tables.
      search_path: "public, pg_temp",
      statement_timeout: String(limits.statementTimeoutMs),
      lock_timeout: String(limits.lockTimeoutMs),
      idle_in_transaction_session_timeout: String(
        limits.idleInTransactionTimeoutMs ?? limits.transactionTimeoutMs,
      ),
      // A backend whose client is gone ends its statement.
      client_connection_check_interval: "1s",
    },
  };
}
