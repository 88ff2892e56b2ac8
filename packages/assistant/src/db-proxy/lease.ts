import type { Connection, PoolClient, QueryResult } from "pg";
import type { TextStatement } from "@tandem/postgres";
import { type BackendKey, cancelBackend } from "./cancel-backend.ts";
import { type DbProxyLimits, wireLimit } from "./limits.ts";
import { Round, type RoundResult } from "./round.ts";

export interface RoundOptions {
  /** A limit of its own for what comes back. */
  readonly maxBytes?: number;
  /** Hears each command tag as it comes. */
  readonly onTag?: (tag: string) => void;
}

/** A connection while one transaction has it. It is dead after that. */
export interface Borrowed {
  /**
   * One exchange; the messages are sent in one write. Fails with what PostgreSQL or the connection says, and
   * with a RoundTooLargeError where the rows take more than what is left for all rounds of the transaction,
   * or than a limit of its own.
   */
  round(send: (connection: Connection) => void, options?: RoundOptions): Promise<RoundResult>;
  /** From now on, after so long without an end, the link is taken for dead and the connection is destroyed. */
  giveUpAfter(ms: number): void;
  /** Statements of our own, without parameters, in the simple protocol. Gives the last command tag. */
  run(sql: string): Promise<string>;
  /**
   * Statements of our own, with parameters, in one exchange: where one fails, PostgreSQL skips those behind it.
   * Gives the rows of all of them; `onTag` hears of each that is done, also where a later one fails.
   */
  runAll(statements: readonly TextStatement[], onTag?: (tag: string) => void): Promise<RoundResult>;
  /** Fails where the connection has been lost meanwhile. */
  assertConnected(): void;
  /**
   * From now on PostgreSQL is not asked to give up: a commit that is cancelled while it waits for a synchronous
   * standby is there all the same, and seen, but not replicated.
   */
  letRun(): void;
}

// All that DISCARD ALL does, but for the plans of the database's own functions and foreign keys: to make those anew
// for every borrower takes a tenth of the throughput. RESET ALL leaves the role alone.
const CLEAN = `SET SESSION AUTHORIZATION DEFAULT; RESET ALL; CLOSE ALL; DEALLOCATE ALL; UNLISTEN *; DISCARD TEMP;
  DISCARD SEQUENCES; SELECT pg_catalog.pg_advisory_unlock_all()`;
const CLEAN_MS = 5_000;
const MAX_TIMER_MS = 2 ** 31 - 1;

/** States: lent → ended (`end`), or lent → cancelled (`cancel`) → ended. A cancelled connection is destroyed. */
export class Lease implements Borrowed {
  readonly #client: PoolClient & Pick<BackendKey, "processID" | "secretKey">;
  readonly #onError = (error: Error): void => {
    this.#lost ??= error;
  };
  #bytesLeft: number;
  #lost: Error | undefined;
  #ended = false;
  #cancelled = false;
  #lettingRun = false;
  #patience: NodeJS.Timeout | undefined;

  constructor(client: PoolClient, limits: DbProxyLimits) {
    // `pg` keeps these two for its own cancel(), which knows only queries of its own.
    this.#client = client as PoolClient & Pick<BackendKey, "processID" | "secretKey">;
    this.#bytesLeft = wireLimit(limits);
    client.on("error", this.#onError);
  }

  async round(
    send: (connection: Connection) => void,
    { maxBytes, onTag }: RoundOptions = {},
  ): Promise<RoundResult> {
    this.#assertAlive();
    const round = new Round(send, { maxBytes: maxBytes ?? this.#bytesLeft, onTag });
    this.#client.query(round);
    const result = await round.result.catch(this.#rethrow);
    if (maxBytes === undefined) this.#bytesLeft -= result.bytes;
    return result;
  }

  runAll(statements: readonly TextStatement[], onTag?: (tag: string) => void): Promise<RoundResult> {
    const send = (connection: Connection): void => {
      for (const { text, values } of statements) {
        connection.parse({ name: "", text, types: [] }, true);
        connection.bind({ values: [...values] }, true);
        connection.execute({}, true);
      }
    };
    return this.round(send, onTag === undefined ? {} : { onTag });
  }

  async run(sql: string): Promise<string> {
    this.#assertAlive();
    const result: QueryResult | QueryResult[] = await this.#client.query(sql).catch(this.#rethrow);
    const last = Array.isArray(result) ? result.at(-1) : result;
    return last?.command ?? "";
  }

  giveUpAfter(ms: number): void {
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => this.cancel(), Math.min(ms, MAX_TIMER_MS));
  }

  assertConnected(): void {
    if (this.#lost !== undefined) throw this.#lost;
  }

  letRun(): void {
    this.#lettingRun = true;
  }

  /**
   * Asks PostgreSQL, over a connection of its own, to give up what runs. The cancellation can arrive late,
   * so this connection never serves anybody else.
   */
  cancel(): void {
    if (this.#cancelled) return;
    this.#cancelled = true;
    const { host, port, processID, secretKey } = this.#client;
    if (!this.#lettingRun) cancelBackend({ host, port, processID, secretKey });
    // Nobody waits for what PostgreSQL makes of it.
    this.#destroy();
  }

  /** Gives the connection back as it was lent, or destroys it where that can't be had. */
  async end(): Promise<void> {
    this.#ended = true;
    this.giveUpAfter(CLEAN_MS);
    const clean = await this.#clean();
    clearTimeout(this.#patience);
    this.#client.off("error", this.#onError);
    this.#client.release(!clean);
  }

  async #clean(): Promise<boolean> {
    if (this.#cancelled || this.#lost !== undefined) return false;
    try {
      // PostgreSQL's own word, not a memory of what was sent.
      if (this.#client.getTransactionStatus() !== "I") await this.#client.query("ROLLBACK");
      await this.#client.query(CLEAN);
      return this.#client.getTransactionStatus() === "I";
    } catch {
      // Whatever it was: the connection is not as it was lent.
      return false;
    }
  }

  // What PostgreSQL said when it ended a session on which nothing ran says more than that it is gone.
  readonly #rethrow = (error: unknown): never => {
    throw this.#lost !== undefined && "severity" in this.#lost ? this.#lost : error;
  };

  #destroy(): void {
    const { connection } = this.#client as unknown as { connection: Connection };
    connection.stream.destroy(new Error("Connection terminated"));
  }

  #assertAlive(): void {
    if (this.#ended) throw new TypeError("The transaction is over, and so is its connection.");
  }
}
