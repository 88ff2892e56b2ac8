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
  readonly closing?: readonly string[];
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
  // PostgreSQL answers in order: what is still to come, and what of it is next.
  readonly #expected: readonly { readonly at: number; readonly part: Part }[];
  #next = 0;
  #connection: Connection | undefined;
  #paramTypes: readonly number[] = [];
  #bytes = 0;
  #failure: RoundOutcome["failure"];

  constructor(statements: readonly Outgoing[], options: RoundOptions) {
    this.#statements = statements;
    this.#options = options;
    this.#answers = statements.map(() => ({ parsed: false, description: undefined, rows: [], tag: "" }));
    this.#expected = statements.flatMap((statement, at) => partsOf(statement).map((part) => ({ at, part })));
    const { promise, resolve } = Promise.withResolvers<RoundOutcome>();
    this.outcome = promise;
    this.#settle = resolve;
  }

  /** Called by `pg` when it is this round's turn. */
  submit(connection: Connection): void {
    this.#connection = connection;
    connection.on("parseComplete", this.#onParse);
    connection.on("parameterDescription", this.#onParameters);
    connection.on("noData", this.#onNoData);
    const { stream } = connection;
    this.#options.slices
      .run(encodingRound(this.#statements, this.#options.closing ?? []))
      .then((round) => stream.write(round))
      // What can't be sent is a defect, and nothing of it has been sent.
      .catch((error: unknown) => stream.destroy(error instanceof Error ? error : undefined));
  }

  // `pg` hands on everything but these.
  readonly #onParse = (): void => this.#answer("parse", (answer) => (answer.parsed = true));
  readonly #onParameters = (message: { dataTypeIDs: number[] }): void => {
    this.#paramTypes = message.dataTypeIDs;
  };
  readonly #onNoData = (): void => this.handleRowDescription({ fields: [] });

  #answer(part: Part, note: (answer: Answer) => void): void {
    const expected = this.#expected[this.#next];
    const answer = this.#answers[expected?.at ?? -1];
    if (this.#failure !== undefined || expected?.part !== part || answer === undefined) return;
    note(answer);
    this.#next += 1;
  }

  handleRowDescription({ fields }: { readonly fields: readonly Field[] }): void {
    const description = { paramTypes: this.#paramTypes, fields };
    this.#answer("describe", (answer) => (answer.description = description));
  }

  handleDataRow(message: { fields: (string | null)[]; length: number }): void {
    if (this.#failure !== undefined) return;
    this.#bytes += message.length;
    if (this.#bytes <= this.#options.maxBytes) {
      this.#answers[this.#expected[this.#next]?.at ?? -1]?.rows.push(message.fields);
      return;
    }
    const error = new RoundTooLargeError();
    this.#fail(error);
    this.#connection?.stream.destroy(error);
  }

  handleCommandComplete(message: { text: string }): void {
    this.#answer("execute", (answer) => (answer.tag = message.text));
  }

  handlePortalSuspended(): void {
    this.#answer("execute", () => undefined);
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
    this.#connection?.off("parseComplete", this.#onParse);
    this.#connection?.off("parameterDescription", this.#onParameters);
    this.#connection?.off("noData", this.#onNoData);
    this.#settle({ answers: this.#answers, failure: this.#failure, bytes: this.#bytes });
  }

  #fail(error: Error): void {
    this.#failure ??= { at: this.#expected[this.#next]?.at ?? this.#statements.length, error };
  }
}

function partsOf({ parse, describe, execute }: Outgoing): readonly Part[] {
  return [
    ...(parse === undefined ? [] : (["parse"] as const)),
    ...(describe === true ? (["describe"] as const) : []),
    ...(execute === undefined ? [] : (["execute"] as const)),
  ];
}
