import { isStalePlan, type TextRows, type TextStatement } from "@tandem/postgres";
import type { TimeSlices } from "@tandem/rpc";
import { composeFlush, rememberPrepared } from "./compose-flush.ts";
import type { Description } from "./description.ts";
import { type DbProxyLimits, wireLimit } from "./limits.ts";
import type { LinkPool } from "./link-pool.ts";
import type { Link, Session } from "./link.ts";
import { Round, type RoundOutcome } from "./round.ts";
import type { Bound } from "./values/encode-param.ts";

/** A statement of a flush. */
export interface FlushStatement {
  readonly text: string;
  /** Left out where it is only to be prepared and described. */
  readonly execute?: { readonly values: readonly Bound[]; readonly maxRows?: number };
  /**
   * What is believed of it: it is described, so that this can be held against it, where it has to be prepared;
   * "unknown" prepares it anew. Left out for statements of our own.
   */
  readonly description?: Description | "unknown";
  /** It is not kept prepared. */
  readonly once?: boolean;
}

export interface FlushOptions {
  /** A limit of its own for what comes back. */
  readonly maxBytes?: number;
  /**
   * Its last statement ends the transaction (else cleaning would be part of it): what is left on the connection is
   * cleaned up in the same flush. Whether that succeeds is not told; where it does not, the connection is destroyed.
   */
  readonly last?: boolean;
}

/** A connection while one transaction has it. It is dead after that. */
export interface Borrowed {
  readonly session: Session;
  /**
   * One exchange, sent in one write. Gives what PostgreSQL said of each statement up to the one that failed, if one
   * did: by PostgreSQL's word, the connection's end, or a RoundTooLargeError where the rows take more than what is
   * left for all of the transaction, or than a limit of its own.
   */
  flush(statements: readonly FlushStatement[], options?: FlushOptions): Promise<RoundOutcome>;
  /** Statements of our own in one flush; fails as the first of them does. Gives the rows of the last one. */
  runAll(statements: readonly TextStatement[], options?: FlushOptions): Promise<TextRows>;
  /** From now on, after so long without an end, the link is taken for dead and the connection is destroyed. */
  giveUpAfter(ms: number): void;
  /** Fails where the connection has been lost meanwhile. */
  assertConnected(): void;
  /** What came back so far doesn't count: the transaction is run again. */
  startOver(): void;
  /**
   * From now on PostgreSQL is not asked to give up: a commit that is cancelled while it waits for a synchronous
   * standby is there all the same, and seen, but not replicated.
   */
  letRun(): void;
}

export interface LeaseOptions {
  readonly limits: DbProxyLimits;
  readonly slices: TimeSlices;
  /** Where the link goes in the end. */
  readonly pool: LinkPool;
}

// All that DISCARD ALL does, but for what is prepared, where we have prepared statements of our own (those of others
// no step can run), and for the plans of the database's own functions and foreign keys: to make those anew for every
// borrower takes a tenth of the throughput. RESET ALL leaves the role alone.
const CLEAN_TEXTS = [
  "SET SESSION AUTHORIZATION DEFAULT",
  "RESET ALL",
  "CLOSE ALL",
  "UNLISTEN *",
  "DISCARD TEMP",
  "DISCARD SEQUENCES",
  "SELECT pg_catalog.pg_advisory_unlock_all()",
];
const CLEAN = CLEAN_TEXTS.map(ofOurOwn);
const CLEAN_MS = 5_000;

/** A statement of our own, as it goes into a flush. */
export function toFlush({ text, values }: TextStatement): FlushStatement {
  return { text, execute: { values } };
}

/** One without parameters. */
export function ofOurOwn(text: string): FlushStatement {
  return toFlush({ text, values: [] });
}

export const ROLLBACK: FlushStatement = ofOurOwn("ROLLBACK");

/** States: lent → ended (`end`), or lent → cancelled (`cancel`) → ended. A cancelled connection is destroyed. */
export class Lease implements Borrowed {
  readonly session: Session;
  readonly #link: Link;
  readonly #options: LeaseOptions;
  #bytesLeft: number;
  // Something may be left on it.
  #used = false;
  #ended = false;
  #cancelled = false;
  #lettingRun = false;

  constructor(link: Link, options: LeaseOptions) {
    this.#link = link;
    this.#options = options;
    this.session = link.session;
    this.#bytesLeft = wireLimit(options.limits);
    link.onSilence = () => this.cancel();
  }

  flush(statements: readonly FlushStatement[], options: FlushOptions = {}): Promise<RoundOutcome> {
    if (!this.#ended) return this.#flush(statements, options);
    return Promise.reject(new TypeError("The transaction is over, and so is its connection."));
  }

  async runAll(statements: readonly TextStatement[], options: FlushOptions = {}): Promise<TextRows> {
    const { answers, failure } = await this.flush(statements.map(toFlush), options);
    if (failure !== undefined) throw failure.error;
    return answers.at(-1)?.rows ?? [];
  }

  giveUpAfter(ms: number): void {
    this.#link.silence.set(ms);
  }

  startOver(): void {
    this.#bytesLeft = wireLimit(this.#options.limits);
  }

  assertConnected(): void {
    if (this.#link.lost !== undefined) throw this.#link.lost;
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
    if (!this.#lettingRun) this.#link.cancel();
    // Nobody waits for what PostgreSQL makes of it.
    this.#link.destroy();
  }

  /** Gives the connection back as it was lent, or destroys it where that can't be had. */
  end(): void {
    this.#ended = true;
    if (this.#isClean() || !this.#isAlive()) this.#giveBack();
    else void this.#cleanUp().finally(() => this.#giveBack());
  }

  async #cleanUp(): Promise<void> {
    this.giveUpAfter(CLEAN_MS);
    await this.#flush(this.#link.isInTransaction ? [ROLLBACK] : [], { last: true });
  }

  #giveBack(): void {
    this.#link.silence.stop();
    this.#options.pool.giveBack(this.#link, { clean: this.#isClean() });
  }

  #cleaning(): readonly FlushStatement[] {
    return this.#options.limits.preparedStatements ? CLEAN : [...CLEAN, ofOurOwn("DEALLOCATE ALL")];
  }

  // As soon as all of it is prepared it is the same bytes each time.
  #readyCleaning(): Buffer | undefined {
    if (!this.#options.limits.preparedStatements) return undefined;
    return this.session.prepared.runningOwn(CLEAN_TEXTS);
  }

  #isAlive(): boolean {
    return !this.#cancelled && this.#link.lost === undefined;
  }

  #isClean(): boolean {
    return this.#isAlive() && !this.#used && !this.#link.isInTransaction;
  }

  async #flush(
    statements: readonly FlushStatement[],
    { maxBytes, last = false }: FlushOptions,
  ): Promise<RoundOutcome> {
    const { slices, limits } = this.#options;
    const { prepared } = this.session;
    const tail = last ? this.#readyCleaning() : undefined;
    const outgoing = composeFlush(
      last && tail === undefined ? [...statements, ...this.#cleaning()] : statements,
      { prepared, keeping: limits.preparedStatements },
    );
    const closing = prepared.takeClosing();
    const round = new Round(outgoing, { maxBytes: maxBytes ?? this.#bytesLeft, slices, closing, tail });
    this.#used = true;
    this.#link.run(round);
    const outcome = await round.outcome;
    const { answers, failure, bytes } = outcome;
    if (maxBytes === undefined) this.#bytesLeft -= bytes;
    rememberPrepared(outgoing, answers, prepared);
    // Somebody has taken them away (DEALLOCATE ALL, a pooler), or what one of them gives is not what it was.
    if (failure !== undefined && isStalePlan(failure.error)) prepared.forgetAll();
    this.#used = !last || failure !== undefined;
    return this.#withoutCleaning(outcome, { count: statements.length, cleaned: last });
  }

  #withoutCleaning(
    { answers, failure, bytes }: RoundOutcome,
    { count, cleaned }: { readonly count: number; readonly cleaned: boolean },
  ): RoundOutcome {
    const asked = answers.length > count ? answers.slice(0, count) : answers;
    const onlyCleaning = failure !== undefined && failure.at >= count && cleaned;
    if (failure === undefined || onlyCleaning) return { answers: asked, failure: undefined, bytes };
    // What PostgreSQL said when it ended a session on which nothing ran says more than that it is gone.
    const { lost } = this.#link;
    const said = lost !== undefined && "severity" in lost ? lost : undefined;
    return { answers: asked, failure: { at: failure.at, error: said ?? failure.error }, bytes };
  }
}
