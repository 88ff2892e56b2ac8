import type { Connection, Submittable } from "pg";

/** A column of a result, as PostgreSQL describes it. */
export interface Field {
  readonly name: string;
  readonly dataTypeID: number;
}

/** What came back for the messages of one round. */
export interface RoundResult {
  /** The OIDs of the types that PostgreSQL takes the parameters for, where it was asked. */
  readonly paramTypes: readonly number[];
  readonly fields: readonly Field[];
  readonly rows: readonly (readonly (string | null)[])[];
  /** The command tag: "INSERT 0 1". Empty where nothing was executed. */
  readonly tag: string;
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

type Send = (connection: Connection) => void;

/**
 * One exchange with PostgreSQL in its extended protocol: messages that end in Sync, and everything that
 * comes back until ReadyForQuery. `pg` runs it as one of its queries (`client.query(round)`), as it does
 * pg-cursor's. It is settled once: by ReadyForQuery, by PostgreSQL's error, or by the connection's end, which
 * it brings about itself where more comes than `maxBytes`: reading on would only take time.
 */
export class Round implements Submittable {
  readonly result: Promise<RoundResult>;
  readonly #send: Send;
  readonly #maxBytes: number;
  readonly #onTag: ((tag: string) => void) | undefined;
  readonly #settle: PromiseWithResolvers<RoundResult>;
  readonly #rows: (string | null)[][] = [];
  #connection: Connection | undefined;
  #paramTypes: readonly number[] = [];
  #fields: readonly Field[] = [];
  #tag = "";
  #bytes = 0;

  constructor(
    send: Send,
    options: { readonly maxBytes: number; readonly onTag?: ((tag: string) => void) | undefined },
  ) {
    this.#send = send;
    this.#maxBytes = options.maxBytes;
    this.#onTag = options.onTag;
    this.#settle = Promise.withResolvers();
    this.result = this.#settle.promise;
    // Whoever waits for it sees the failure; a round that is abandoned has nobody to tell.
    this.result.catch(() => undefined);
  }

  /** Called by `pg` when it is this round's turn. An error that it returns becomes the round's. */
  submit(connection: Connection): Error | undefined {
    this.#connection = connection;
    // `pg` hands on everything but this, which only Describe asks for.
    const onParameters = (message: { dataTypeIDs: number[] }): void => {
      this.#paramTypes = message.dataTypeIDs;
    };
    connection.once("parameterDescription", onParameters);
    const forget = (): unknown => connection.off("parameterDescription", onParameters);
    this.result.then(forget, forget);
    // Held back until Sync, so that the whole round is one write.
    connection.stream.cork();
    try {
      this.#send(connection);
      connection.sync();
      return undefined;
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    } finally {
      connection.stream.uncork();
    }
  }

  handleRowDescription(message: { fields: readonly Field[] }): void {
    this.#fields = message.fields;
  }

  handleDataRow(message: { fields: (string | null)[]; length: number }): void {
    this.#bytes += message.length;
    if (this.#bytes <= this.#maxBytes) this.#rows.push(message.fields);
    else this.#connection?.stream.destroy(new RoundTooLargeError());
  }

  handleCommandComplete(message: { text: string }): void {
    this.#tag = message.text;
    this.#onTag?.(message.text);
  }

  handlePortalSuspended(): void {}

  handleEmptyQuery(): void {}

  handleCopyInResponse(connection: Connection & { sendCopyFail(message: string): void }): void {
    connection.sendCopyFail("A step can't copy.");
  }

  handleCopyData(): void {}

  handleError(error: Error): void {
    this.#settle.reject(error);
  }

  handleReadyForQuery(): void {
    this.#settle.resolve({
      paramTypes: this.#paramTypes,
      fields: this.#fields,
      rows: this.#rows,
      tag: this.#tag,
      bytes: this.#bytes,
    });
  }
}
