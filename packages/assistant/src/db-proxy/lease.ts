import { isStalePlan, type TextRows, type TextStatement } from "@tandem/postgres";
import type { TimeSlices } from "@tandem/rpc";
import type { Description } from "./description.ts";
import { type DbProxyLimits, wireLimit } from "./limits.ts";
import type { LinkPool } from "./link-pool.ts";
import type { Link, Session } from "./link.ts";
import { type Outgoing, Round, type RoundOutcome } from "./round.ts";
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

/** A statement as it goes out, and whose text it has. */
interface Composed {
  readonly text: string;
  readonly own: boolean;
  readonly sent: Outgoing;
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

  async flush(statements: readonly FlushStatement[], options: FlushOptions = {}): Promise<RoundOutcome> {
    if (this.#ended) throw new TypeError("The transaction is over, and so is its connection.");
    return this.#flush(statements, options);
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
    { maxBytes, last }: FlushOptions,
  ): Promise<RoundOutcome> {
    const { slices } = this.#options;
    const { prepared } = this.session;
    const tail = last === true ? this.#readyCleaning() : undefined;
    const outgoing = this.#compose(
      last === true && tail === undefined ? [...statements, ...this.#cleaning()] : statements,
    );
    const round = new Round(
      outgoing.map(({ sent }) => sent),
      { maxBytes: maxBytes ?? this.#bytesLeft, slices, closing: prepared.takeClosing(), tail },
    );
    this.#used = true;
    this.#link.run(round);
    const outcome = await round.outcome;
    if (maxBytes === undefined) this.#bytesLeft -= outcome.bytes;
    this.#remember(outgoing, outcome);
    this.#used = last !== true || outcome.failure !== undefined;
    return this.#withoutCleaning(outcome, { count: statements.length, cleaned: last === true });
  }

  // What is left out where a statement is prepared already: its text, and to describe it.
  #compose(statements: readonly FlushStatement[]): readonly Composed[] {
    // Those that stand in this flush more than once are prepared once.
    const named = new Map<string, string>();
    return statements.map((statement) => {
      const kept = this.#options.limits.preparedStatements && statement.once !== true;
      if (statement.description === undefined) return this.#composeOwn(statement, kept, named);
      return this.#composeCallers({ ...statement, description: statement.description }, kept, named);
    });
  }

  #composeOwn({ text, execute }: FlushStatement, kept: boolean, named: Map<string, string>): Composed {
    const run = execute === undefined ? {} : { execute };
    if (!kept) return { text, own: true, sent: { name: "", parse: text, ...run } };
    const { name, running, isPrepared } = this.session.prepared.own(text);
    const ran = execute?.values.length === 0 && execute.maxRows === undefined ? { running } : run;
    if (isPrepared || named.has(text)) return { text, own: true, sent: { name, ...ran } };
    named.set(text, name);
    return { text, own: true, sent: { name, parse: text, ...ran } };
  }

  #composeCallers(
    { text, execute, description }: FlushStatement & Required<Pick<FlushStatement, "description">>,
    keeping: boolean,
    named: Map<string, string>,
  ): Composed {
    const { prepared } = this.session;
    const run = execute === undefined ? {} : { execute };
    const kept = keeping && prepared.keeps(text);
    const known = description === "unknown" ? undefined : prepared.nameOf(text, description);
    const found = named.get(text) ?? known;
    if (kept && found !== undefined) return { text, own: false, sent: { name: found, ...run } };
    const name = kept ? prepared.newName(text) : "";
    if (kept) named.set(text, name);
    return { text, own: false, sent: { name, parse: text, describe: true, ...run } };
  }

  // What PostgreSQL has not said that it prepared is not: an error before it skips a Parse, too.
  #remember(outgoing: readonly Composed[], { answers, failure }: RoundOutcome): void {
    const { prepared } = this.session;
    for (const [at, { text, own, sent }] of outgoing.entries()) {
      const { parsed, description } = answers[at] ?? {};
      if (parsed !== true || sent.name === "") continue;
      if (own) prepared.addOwn(text);
      else if (description === undefined) prepared.discard(sent.name);
      else prepared.add(text, sent.name, description);
    }
    // Somebody has taken them away (DEALLOCATE ALL, a pooler), or what one of them gives is not what it was.
    if (failure !== undefined && isStalePlan(failure.error)) prepared.forgetAll();
  }

  #withoutCleaning(
    { answers, failure, bytes }: RoundOutcome,
    { count, cleaned }: { readonly count: number; readonly cleaned: boolean },
  ): RoundOutcome {
    const asked = answers.slice(0, count);
    const onlyCleaning = failure !== undefined && failure.at >= count && cleaned;
    if (failure === undefined || onlyCleaning) return { answers: asked, failure: undefined, bytes };
    // What PostgreSQL said when it ended a session on which nothing ran says more than that it is gone.
    const { lost } = this.#link;
    const said = lost !== undefined && "severity" in lost ? lost : undefined;
    return { answers: asked, failure: { at: failure.at, error: said ?? failure.error }, bytes };
  }
}
