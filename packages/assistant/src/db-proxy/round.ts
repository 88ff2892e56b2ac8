import type { TimeSlices } from "@tandem/rpc";
import type { Description } from "./description.ts";
import { encodingRound } from "./encode-round.ts";
import type { FrameWriter } from "./frame-writer.ts";
import { type ParsedMessage, parseMessage } from "./parse-message.ts";
import type { Bound } from "./values/encode-param.ts";

/** A statement as it goes out. */
export interface Outgoing {
  readonly text: string;
  /** It is one of our own, not a caller's. */
  readonly own: boolean;
  /** "" is PostgreSQL's unnamed statement, which the next one takes the place of. */
  readonly name: string;
  readonly parse: boolean;
  readonly describe: boolean;
  /** Left out where it is not to be run. */
  readonly execute: { readonly values: readonly Bound[]; readonly maxRows?: number } | undefined;
  /** In its place: the messages that run it, as they are. */
  readonly running: Buffer | undefined;
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

/** What carries a round to PostgreSQL, one at a time. */
export interface Carrier {
  readonly writer: FrameWriter;
  write(bytes: Buffer): void;
  /** Ends the connection; the round is then told that it is lost. */
  destroy(error: Error): void;
}

// https://www.postgresql.org/docs/current/protocol-message-formats.html
const TYPE = {
  parseComplete: 0x31,
  bindComplete: 0x32,
  dataRow: 0x44,
  commandComplete: 0x43,
  error: 0x45,
  emptyQuery: 0x49,
  rowDescription: 0x54,
  noData: 0x6e,
  portalSuspended: 0x73,
  parameterDescription: 0x74,
} as const;

/**
 * One exchange with PostgreSQL in its extended protocol: statements in one write that ends in one Sync, and all
 * that comes back until ReadyForQuery. PostgreSQL skips what is behind a statement that fails. It is settled once, by
 * ReadyForQuery or by the connection's end, which it brings about itself where more comes than `maxBytes`: reading on
 * would only take time.
 */
export class Round {
  readonly outcome: Promise<RoundOutcome>;
  readonly #statements: readonly Outgoing[];
  readonly #options: RoundOptions;
  readonly #settle: (outcome: RoundOutcome) => void;
  readonly #answers: readonly Answer[];
  // PostgreSQL answers in order: the statement whose answer is next, and the part of it.
  #at = 0;
  #part: Part = "parse";
  #carrier: Carrier | undefined;
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

  /** Sends it. */
  begin(carrier: Carrier): void {
    this.#carrier = carrier;
    // What can't be sent is a defect, and nothing of it has been sent.
    const fail = (error: unknown): void => carrier.destroy(error as Error);
    try {
      const round = this.#options.slices.run(encodingRound(this.#statements, this.#options, carrier.writer));
      if (round instanceof Promise) round.then((bytes) => carrier.write(bytes)).catch(fail);
      else carrier.write(round);
    } catch (error) {
      fail(error);
    }
  }

  /**
   * A message came that isn't ReadyForQuery: false where it isn't one of a round. Those of COPY aren't: no step can copy,
   * and to `pg`, which waits for none of them, they are the end of the connection.
   */
  message(type: number, bytes: Buffer, start: number, end: number): boolean {
    switch (type) {
      case TYPE.bindComplete:
        return true;
      case TYPE.dataRow:
        this.#onRow(bytes, start, end);
        return true;
      case TYPE.commandComplete: {
        const answer = this.#next("execute");
        // Without the NUL at its end.
        if (answer !== undefined) answer.tag = bytes.toString("latin1", start, end - 1);
        return true;
      }
      case TYPE.emptyQuery:
      case TYPE.portalSuspended:
        this.#next("execute");
        return true;
      case TYPE.parseComplete: {
        const answer = this.#next("parse");
        if (answer !== undefined) answer.parsed = true;
        return true;
      }
      case TYPE.noData:
        this.#onDescription([]);
        return true;
      case TYPE.rowDescription:
      case TYPE.parameterDescription:
      case TYPE.error:
        this.#onParsed(parseMessage(bytes, start, end));
        return true;
      default:
        return false;
    }
  }

  /** ReadyForQuery came: nothing more does. */
  ready(): void {
    this.#settle({ answers: this.#answers, failure: this.#failure, bytes: this.#bytes });
  }

  /** The connection is gone. */
  lost(error: Error): void {
    this.#fail(error);
    this.ready();
  }

  #onParsed(message: ParsedMessage): void {
    switch (message.name) {
      case "parameterDescription":
        this.#paramTypes = message.dataTypeIDs;
        return;
      case "rowDescription":
        return this.#onDescription(message.fields);
      case "error":
        // Until ReadyForQuery nobody knows the connection's state.
        return this.#fail(message);
    }
  }

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
        if (statement.parse) return;
        this.#part = "describe";
      }
      if (this.#part === "describe") {
        if (statement.describe) return;
        this.#part = "execute";
      }
      if (statement.execute !== undefined) return;
      this.#at += 1;
      this.#part = "parse";
    }
  }

  #onDescription(fields: Description["fields"]): void {
    const answer = this.#next("describe");
    if (answer !== undefined) answer.description = { paramTypes: this.#paramTypes, fields };
  }

  #onRow(bytes: Buffer, start: number, end: number): void {
    if (this.#failure !== undefined) return;
    this.#bytes += end - start;
    if (this.#bytes <= this.#options.maxBytes) {
      this.#answers[this.#at]?.rows.push(readRow(bytes, start));
      return;
    }
    const error = new RoundTooLargeError();
    this.#fail(error);
    this.#carrier?.destroy(error);
  }

  #fail(error: Error): void {
    this.#failure ??= { at: this.#at, error };
  }
}

const INT16_BYTES = 2;
const INT32_BYTES = 4;

function readRow(bytes: Buffer, start: number): (string | null)[] {
  const row: (string | null)[] = [];
  let at = start + INT16_BYTES;
  for (let left = bytes.readInt16BE(start); left > 0; left -= 1) {
    const length = bytes.readInt32BE(at);
    at += INT32_BYTES;
    // NULL has none.
    row.push(length < 0 ? null : bytes.toString("utf8", at, at + length));
    at += Math.max(length, 0);
  }
  return row;
}
