import { translateDatabaseError } from "@tandem/postgres";
import type { Logger } from "@tandem/rpc";
import { type Connection, Pool, type PoolClient, type PoolConfig, type QueryResult } from "pg";
import { type BackendKey, cancelBackend } from "./cancel-backend.ts";
import type { DbProxyLimits } from "./limits.ts";
import { Round, type RoundResult } from "./round.ts";

/** A connection while one transaction has it. It is dead after that. */
export interface Borrowed {
  /** One exchange; the messages are sent in one write. Fails with what PostgreSQL or the connection says. */
  round(send: (connection: Connection) => void): Promise<RoundResult>;
  /** From now on, after so long without an end, the link is taken for dead and the connection is destroyed. */
  giveUpAfter(ms: number): void;
  /** Statements of our own, without parameters, in the simple protocol. Gives the last command tag. */
  run(sql: string): Promise<string>;
}

export interface Connections {
  /**
   * Lends a connection to `use` and takes it back: into the pool where it ended its transaction, and out
   * of the world where anything went wrong. When the signal is aborted, what runs on it is cancelled.
   */
  withConnection<T>(signal: AbortSignal, use: (borrowed: Borrowed) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface ConnectionsOptions {
  readonly url: string;
  readonly limits: DbProxyLimits;
  readonly logger: Logger;
}

// What a session must be for values to have one text form, whatever the server's defaults are.
const sessionSettings = {
  search_path: "public,pg_temp",
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
  const { url, limits, logger } = options;
  const settings = Object.entries({ ...sessionSettings, lock_timeout: String(limits.lockTimeoutMs) });
  const config: PoolConfig = {
    connectionString: url,
    application_name: "tandem-dbproxy",
    options: settings.map(([name, value]) => `-c ${name}=${value}`).join(" "),
    max: limits.poolSize,
    connectionTimeoutMillis: limits.connectTimeoutMs,
    idleTimeoutMillis: 60_000,
    maxLifetimeSeconds: 30 * 60,
  };
  const pool = new Pool(config);
  // `pg` takes a lost idle connection out of the pool by itself; without a listener it would end the process.
  pool.on("error", (error) => logger.info({ err: error }, "a connection to the database was lost"));
  const withConnection: Connections["withConnection"] = async (signal, use) => {
    const client = await connect(pool, signal);
    const lease = new Lease(client, limits);
    const cancel = (): void => lease.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      signal.throwIfAborted();
      const result = await use(lease);
      lease.end(lease.inTransaction);
      return result;
    } catch (error) {
      const rolledBack = await lease.rollBack();
      lease.end(!rolledBack);
      throw error;
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  };
  return { withConnection, close: () => pool.end() };
}

async function connect(pool: Pool, signal: AbortSignal): Promise<PoolClient> {
  signal.throwIfAborted();
  try {
    return await pool.connect();
  } catch (error) {
    throw translateDatabaseError(error);
  }
}

class Lease implements Borrowed {
  /** What ended the connection. */
  lost: Error | undefined;
  inTransaction = false;
  readonly #client: PoolClient;
  readonly #limits: DbProxyLimits;
  readonly #onError = (error: Error): void => {
    this.lost ??= error;
  };
  #ended = false;
  #cancelled = false;
  #patience: NodeJS.Timeout | undefined;

  constructor(client: PoolClient, limits: DbProxyLimits) {
    this.#client = client;
    this.#limits = limits;
    client.on("error", this.#onError);
  }

  async round(send: (connection: Connection) => void): Promise<RoundResult> {
    this.#assertAlive();
    const round = new Round(send, { maxBytes: this.#limits.maxResponseBytes });
    this.#client.query(round);
    return round.result.catch(this.#rethrow);
  }

  async run(sql: string): Promise<string> {
    this.#assertAlive();
    const result: QueryResult | QueryResult[] = await this.#client.query(sql).catch(this.#rethrow);
    const last = Array.isArray(result) ? result.at(-1) : result;
    if (sql.startsWith("BEGIN")) this.inTransaction = true;
    if (sql === "COMMIT" || sql === "ROLLBACK") this.inTransaction = false;
    return last?.command ?? "";
  }

  // What PostgreSQL said when it ended a session on which nothing ran says more than that it is gone.
  readonly #rethrow = (error: unknown): never => {
    throw this.lost !== undefined && "severity" in this.lost ? this.lost : error;
  };

  giveUpAfter(ms: number): void {
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => this.#destroy(), ms);
  }

  /** Whether the connection is as it was before it was lent. */
  async rollBack(): Promise<boolean> {
    if (this.#cancelled || this.lost !== undefined) return false;
    if (!this.inTransaction) return true;
    return this.run("ROLLBACK").then(
      () => true,
      () => false,
    );
  }

  /**
   * Asks PostgreSQL, over a connection of its own, to give up what runs. The cancellation can arrive late,
   * so this connection never serves anybody else.
   */
  cancel(): void {
    if (this.#ended || this.#cancelled) return;
    this.#cancelled = true;
    // `pg` keeps them for its own cancel(), which knows only queries of its own.
    const { processID, secretKey } = this.#client as PoolClient & Pick<BackendKey, "processID" | "secretKey">;
    cancelBackend({ host: this.#client.host, port: this.#client.port, processID, secretKey });
    // Nobody waits for what PostgreSQL makes of it.
    this.#destroy();
  }

  #destroy(): void {
    const { connection } = this.#client as unknown as { connection: Connection };
    connection.stream.destroy(new Error("Connection terminated"));
  }

  end(destroy: boolean): void {
    this.#ended = true;
    clearTimeout(this.#patience);
    const gone = destroy || this.#cancelled || this.lost !== undefined;
    this.#client.release(gone);
    // A connection that is being destroyed may still have something to say about it.
    if (!gone) this.#client.off("error", this.#onError);
  }

  #assertAlive(): void {
    if (this.#ended) throw new TypeError("The transaction is over, and so is its connection.");
  }
}
