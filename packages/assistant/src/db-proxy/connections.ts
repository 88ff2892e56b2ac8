import { parseDatabaseUrl, translateDatabaseError } from "@tandem/postgres";
import { HandlerError, type Logger, settlesWithin, type TimeSlices, unlessAborted } from "@tandem/rpc";
import { type Connection, Pool, type PoolClient, type PoolConfig } from "pg";
import { guardFrames } from "./frame-guard.ts";
import { type Borrowed, Lease, type Session } from "./lease.ts";
import { type DbProxyLimits, wireLimit } from "./limits.ts";
import { OwnStatements } from "./own-statements.ts";
import { PreparedStatements } from "./prepared-statements.ts";
import { RoundTooLargeError } from "./round.ts";

export interface Connections {
  /**
   * Lends a connection to `use` and takes it back: into the pool, cleaned of what was left on it, where its
   * transaction has ended, and out of the world otherwise. When the signal is aborted, what runs on it is
   * cancelled.
   */
  withConnection<T>(signal: AbortSignal, use: (borrowed: Borrowed) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface ConnectionsOptions {
  readonly url: string;
  readonly limits: DbProxyLimits;
  readonly slices: TimeSlices;
  readonly logger: Logger;
}

const CLOSE_MS = 2_000;

// What a session must be for values to have one text form, whatever the server's defaults are.
const sessionSettings = {
  search_path: "public,pg_temp",
  // A text must be to this server what it was to the parser that judged it.
  standard_conforming_strings: "on",
  TimeZone: "UTC",
  DateStyle: "ISO,YMD",
  IntervalStyle: "postgres",
  extra_float_digits: "1",
  bytea_output: "hex",
  xmloption: "content",
  lc_monetary: "C",
  // A backend whose client is gone ends its statement.
  client_connection_check_interval: "1s",
};

/** A pool of connections that fail cleanly. */
export function createConnections(options: ConnectionsOptions): Connections {
  const { limits, logger, slices } = options;
  const sessions = new WeakMap<PoolClient, Session>();
  const own = new OwnStatements();
  const pool = new Pool(toPoolConfig(options));
  pool.on("connect", (client) => {
    // `pg` emits what ends a connection also while nobody has borrowed it; without a listener, and there is
    // none between the pool's and the borrower's, it would end the process.
    client.on("error", () => undefined);
    const { connection } = client as unknown as { connection: Connection };
    const maxBytes = wireLimit(limits);
    guardFrames(connection.stream, { maxBytes, error: () => new RoundTooLargeError() });
  });
  pool.on("error", (error) => {
    logger.info({ err: translateDatabaseError(error).cause }, "a connection to the database was lost");
  });
  return {
    withConnection: async (signal, use) => {
      const client = await connect(pool, signal, limits);
      const session = sessions.get(client) ?? { prepared: new PreparedStatements(own), history: undefined };
      sessions.set(client, session);
      const lease = new Lease(client, { limits, slices, session });
      const cancel = (): void => lease.cancel();
      signal.addEventListener("abort", cancel, { once: true });
      try {
        signal.throwIfAborted();
        return await use(lease);
      } finally {
        signal.removeEventListener("abort", cancel);
        // Nobody waits for that: the answer is known.
        void lease.end();
      }
    },
    close: async () => {
      // What is still being cleaned up on a link that has gone silent ends with the process.
      await settlesWithin(pool.end(), CLOSE_MS);
    },
  };
}

function toPoolConfig({ url, limits }: ConnectionsOptions): PoolConfig {
  const { host, port, database, role, password, tls } = parseDatabaseUrl(url);
  const timeouts = {
    lock_timeout: String(limits.lockTimeoutMs),
    statement_timeout: String(limits.statementTimeoutMs),
    transaction_timeout: String(limits.transactionTimeoutMs),
  };
  const settings = Object.entries({ ...sessionSettings, ...timeouts });
  return {
    host,
    port,
    database,
    user: role,
    password,
    ssl: tls === "disable" ? false : { rejectUnauthorized: tls === "verify-full" },
    application_name: "tandem-dbproxy",
    options: settings.map(([name, value]) => `-c ${name}=${value}`).join(" "),
    max: limits.poolSize,
    connectionTimeoutMillis: limits.connectTimeoutMs,
    idleTimeoutMillis: 60_000,
    maxLifetimeSeconds: 30 * 60,
    keepAlive: true,
  };
}

/** Fails with NOT_COMMITTED, whatever happens: nothing was sent. */
async function connect(pool: Pool, signal: AbortSignal, limits: DbProxyLimits): Promise<PoolClient> {
  signal.throwIfAborted();
  const full = pool.totalCount >= limits.poolSize && pool.idleCount === 0;
  const connecting = pool.connect();
  try {
    return await unlessAborted(connecting, signal);
  } catch (error) {
    // A connection that comes after all goes back to the pool.
    connecting.then(
      (client) => client.release(),
      () => undefined,
    );
    if (signal.aborted) throw error;
    const translated = translateDatabaseError(error);
    const reason = translated.reason === "OVERLOADED" || full ? "OVERLOADED" : "DATABASE_UNAVAILABLE";
    const message = full ? "Every connection to the database is in use: try again soon." : translated.message;
    const { database, cause } = translated;
    throw new HandlerError({ reason, message, cause, ...(database === undefined ? {} : { database }) });
  }
}
