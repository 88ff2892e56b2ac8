import { parseDatabaseUrl, translateDatabaseError } from "@tandem/postgres";
import { HandlerError, type Logger, settlesWithin, type TimeSlices, unlessAborted } from "@tandem/rpc";
import type { ClientConfig } from "pg";
import { type Borrowed, Lease } from "./lease.ts";
import { type DbProxyLimits, wireLimit } from "./limits.ts";
import { LinkPool } from "./link-pool.ts";
import { Link } from "./link.ts";
import { OwnStatements } from "./own-statements.ts";
import { PreparedStatements } from "./prepared-statements.ts";

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
const MAX_IDLE_MS = 60_000;
const MAX_AGE_MS = 30 * 60_000;

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
  const config = toClientConfig(options);
  const own = new OwnStatements();
  const pool = new LinkPool({
    size: limits.poolSize,
    waitMs: limits.connectTimeoutMs,
    maxIdleMs: MAX_IDLE_MS,
    maxAgeMs: MAX_AGE_MS,
    open: () =>
      Link.open({ config, maxMessageBytes: wireLimit(limits), prepared: new PreparedStatements(own) }),
    onLost: (error) => {
      logger.info({ err: translateDatabaseError(error).cause }, "a connection to the database was lost");
    },
  });
  return {
    withConnection: async (signal, use) => {
      signal.throwIfAborted();
      const taken = pool.take();
      const link = taken instanceof Promise ? await arrival(taken, { signal, pool }) : taken;
      const lease = new Lease(link, { limits, slices, pool });
      const cancel = (): void => lease.cancel();
      signal.addEventListener("abort", cancel);
      try {
        signal.throwIfAborted();
        return await use(lease);
      } finally {
        signal.removeEventListener("abort", cancel);
        // Nobody waits for that: the answer is known.
        lease.end();
      }
    },
    close: async () => {
      // What is still being cleaned up on a link that has gone silent ends with the process.
      await settlesWithin(pool.close(), CLOSE_MS);
    },
  };
}

function toClientConfig({ url, limits }: ConnectionsOptions): ClientConfig {
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
    connectionTimeoutMillis: limits.connectTimeoutMs,
    keepAlive: true,
  };
}

/** Waits for a link. Fails with NOT_COMMITTED, whatever happens: nothing was sent. */
async function arrival(
  coming: Promise<Link>,
  { signal, pool }: { readonly signal: AbortSignal; readonly pool: LinkPool },
): Promise<Link> {
  try {
    return await unlessAborted(coming, signal);
  } catch (error) {
    // One that comes after all goes back to the pool.
    coming.then(
      (link) => pool.giveBack(link, { clean: true }),
      () => undefined,
    );
    if (signal.aborted) throw error;
    const failure = translateDatabaseError(error);
    const { message, cause, database } = failure;
    const reason = failure.reason === "OVERLOADED" ? "OVERLOADED" : "DATABASE_UNAVAILABLE";
    throw new HandlerError({ reason, message, cause, ...(database === undefined ? {} : { database }) });
  }
}
