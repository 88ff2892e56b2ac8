import type { TimeSlices } from "@tandem/rpc";
import { type Connection, DatabaseError, type Submittable } from "pg";
import { encodingRound } from "./encode-round.ts";
import type { Description, Field } from "./description.ts";
import type { Bound } from "./values/encode-param.ts";

/** A statement as it goes out: what is left out isn't asked for. */
export interface Outgoing {
  /** "" is PostgreSQL's unnamed statement, which the next one takes the place of. */
  readonly name: string;
  readonly parse?: string;
  readonly describe?: boolean;
  readonly execute?: { readonly values: readonly Bound[]; readonly maxRows?: number };
  /** In place of `execute`: the messages that run it, as they are. */
  readonly running?: Buffer;
}

/** What came back for a statement. */
export interface Answer {
  parsed: boolean;
  description: Description | undefined;
  readonly rows: (readonly (string | null)[])[];
  /** The command tag: "INSERT 0 1". Empty where it was not executed to its end. */
  tag: string;
}

/** What came back for a round, one answer for each statement, also where one failed. */
export interface RoundOutcome {
  readonly answers: readonly Answer[];
  /** With the number of the statement at which it failed; those behind it have not been run. */
  readonly failure: { readonly at: number; readonly error: Error } | undefined;
  /** What the rows took on the wire. */
  readonly bytes: number;
}

/** The rows of a round took more than its limit. */
export class RoundTooLargeError extends Error {
  override readonly name = "RoundTooLargeError";

  constructor() {
    super("PostgreSQL sent more than may be kept.");
  }
}

export interface RoundOptions {
  readonly maxBytes: number;
  readonly slices: TimeSlices;
  /** Prepared statements that are not wanted any more. */
  readonly closing: readonly string[];
  /** Messages that run further statements, whose answers say nothing unless one of them fails. */
  readonly tail: Buffer | undefined;
}

type Part = "parse" | "describe" | "execute";

/**
 * One exchange with PostgreSQL in its extended protocol: statements in one write that ends in one Sync, and all
 * that comes back until ReadyForQuery. PostgreSQL skips what is behind a statement that fails. `pg` runs it as one
 * of its queries (`client.query(round)`), as it does pg-cursor's. It is settled once, by ReadyForQuery or by the
 * connection's end, which it brings about itself where more comes than `maxBytes`: reading on would only take time.
 */
export class Round implements Submittable {
  readonly outcome: Promise<RoundOutcome>;
  readonly #statements: readonly Outgoing[];
  readonly #options: RoundOptions;
  readonly #settle: (outcome: RoundOutcome) => void;
  readonly #answers: readonly Answer[];
  // PostgreSQL answers in order: the statement whose answer is next, and the part of it.
  #at = 0;
  #part: Part = "parse";
  #connection: Connection | undefined;
  #prepares = false;
  #paramTypes: readonly number[] = [];
  #bytes = 0;
  #failure: RoundOutcome["failure"];

  constructor(statements: readonly Outgoing[], options: RoundOptions) {
    this.#statements = statements;
    this.#options = options;
    this.#answers = statements.map(() => ({ parsed: false, description: undefined, rows: [], tag: "" }));
    this.#skip();
    const { promise, resolve } = Promise.withResolvers<RoundOutcome>();
    this.outcome = promise;
    this.#settle = resolve;
  }

  /** Called by `pg` when it is this round's turn. */
  submit(connection: Connection): void {
    this.#connection = connection;
    // `pg` hands on everything but these, which most rounds have none of.
    this.#prepares = this.#statements.some(({ parse, describe }) => parse !== undefined || describe === true);
    if (this.#prepares) {
      connection.on("parseComplete", this.#onParse);
      connection.on("parameterDescription", this.#onParameters);
      connection.on("noData", this.#onNoData);
    }
    const { stream } = connection;
    // What can't be sent is a defect, and nothing of it has been sent.
    const fail = (error: unknown): void => void stream.destroy(error instanceof Error ? error : undefined);
    try {
      const round = this.#options.slices.run(encodingRound(this.#statements, this.#options));
      if (round instanceof Promise) round.then((bytes) => stream.write(bytes)).catch(fail);
      else stream.write(round);
    } catch (error) {
      fail(error);
    }
  }

  readonly #onParse = (): void => {
    const answer = this.#next("parse");
    if (answer !== undefined) answer.parsed = true;
  };
  readonly #onParameters = (message: { dataTypeIDs: number[] }): void => {
    this.#paramTypes = message.dataTypeIDs;
  };
  readonly #onNoData = (): void => this.handleRowDescription({ fields: [] });

  /** Whose answer this part is. Undefined behind a failure, and for the tail. */
  #next(part: Part): Answer | undefined {
    if (this.#failure !== undefined || this.#part !== part) return undefined;
    const answer = this.#answers[this.#at];
    if (part === "execute") {
      this.#at += 1;
      this.#part = "parse";
    } else {
      this.#part = part === "parse" ? "describe" : "execute";
    }
    this.#skip();
    return answer;
  }

  // What is not asked for of a statement isn't answered.
  #skip(): void {
    for (;;) {
      const statement = this.#statements[this.#at];
      if (statement === undefined) return;
      if (this.#part === "parse") {
        if (statement.parse !== undefined) return;
        this.#part = "describe";
      }
      if (this.#part === "describe") {
        if (statement.describe === true) return;
        this.#part = "execute";
      }
      if (statement.execute !== undefined || statement.running !== undefined) return;
      this.#at += 1;
      this.#part = "parse";
    }
  }

  handleRowDescription({ fields }: { readonly fields: readonly Field[] }): void {
    const description = { paramTypes: this.#paramTypes, fields };
    const answer = this.#next("describe");
    if (answer !== undefined) answer.description = description;
  }

  handleDataRow(message: { fields: (string | null)[]; length: number }): void {
    if (this.#failure !== undefined) return;
    this.#bytes += message.length;
    if (this.#bytes <= this.#options.maxBytes) {
      this.#answers[this.#at]?.rows.push(message.fields);
      return;
    }
    const error = new RoundTooLargeError();
    this.#fail(error);
    this.#connection?.stream.destroy(error);
  }

  handleCommandComplete(message: { text: string }): void {
    const answer = this.#next("execute");
    if (answer !== undefined) answer.tag = message.text;
  }

  handlePortalSuspended(): void {
    this.#next("execute");
  }

  handleEmptyQuery(): void {
    this.handlePortalSuspended();
  }

  handleCopyInResponse(connection: Connection & { sendCopyFail(message: string): void }): void {
    connection.sendCopyFail("A step can't copy.");
  }

  handleCopyData(): void {}

  /**
   * `pg` tells of an error and then forgets the round. PostgreSQL's own word is not the end: until ReadyForQuery
   * nobody knows the connection's state.
   */
  handleError(error: Error): void {
    this.#fail(error);
    const connection = this.#connection;
    if (!(error instanceof DatabaseError) || connection === undefined || connection.stream.destroyed) {
      this.handleReadyForQuery();
      return;
    }
    const end = (): void => {
      connection.off("readyForQuery", end).off("end", end);
      this.handleReadyForQuery();
    };
    connection.on("readyForQuery", end).on("end", end);
  }

  handleReadyForQuery(): void {
    if (this.#prepares) {
      this.#connection?.off("parseComplete", this.#onParse);
      this.#connection?.off("parameterDescription", this.#onParameters);
      this.#connection?.off("noData", this.#onNoData);
    }
    this.#settle({ answers: this.#answers, failure: this.#failure, bytes: this.#bytes });
  }

  #fail(error: Error): void {
    this.#failure ??= { at: this.#at, error };
  }
}
