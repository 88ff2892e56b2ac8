import type { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import { ConnectionLostError } from "@tandem/postgres";
import { Client, type ClientConfig } from "pg";
import { type BackendKey, cancelBackend } from "./cancel-backend.ts";
import { FrameReader } from "./frame-reader.ts";
import { FrameWriter } from "./frame-writer.ts";
import { MovingTimer } from "./moving-timer.ts";
import type { PreparedStatements } from "./prepared-statements.ts";
import { type Carrier, type Round, RoundTooLargeError } from "./round.ts";
import type { History } from "./write-token.ts";

/** What is known of a connection for as long as it lives. */
export interface Session {
  readonly prepared: PreparedStatements;
  /** Of the server at its other end, once that is known to take writes: while it runs, it stays the same. */
  history: History | undefined;
}

export interface LinkOptions {
  readonly config: ClientConfig;
  /** The longest message that is taken from PostgreSQL. */
  readonly maxMessageBytes: number;
  readonly prepared: PreparedStatements;
}

const HEADER_BYTES = 5;
const READY_FOR_QUERY = 0x5a;
const IDLE = 0x49;

// `pg` keeps the key for its own cancel(), which knows only queries of its own.
type PgClient = Client &
  Pick<BackendKey, "processID" | "secretKey"> & {
    readonly connection: EventEmitter & { readonly stream: Duplex };
  };

/** One connection to PostgreSQL, from its beginning to its end, whoever has it. */
export class Link {
  readonly session: Session;
  readonly openedAt = performance.now();
  /** When it was given back last. */
  idleSince = 0;
  /** Told of its loss, also while nobody has it. */
  onLost: ((error: Error) => void) | undefined;
  /** For how long it may be silent, where somebody waits for it. */
  readonly silence = new MovingTimer(() => this.onSilence?.());
  onSilence: (() => void) | undefined;
  #lost: Error | undefined;
  #round: Round | undefined;
  #isInTransaction = false;
  readonly #carrier: Carrier = {
    writer: new FrameWriter(),
    write: (bytes) => void this.#client.connection.stream.write(bytes),
    destroy: (error) => void this.#client.connection.stream.destroy(error),
  };
  readonly #client: PgClient;

  private constructor({ config, maxMessageBytes, prepared }: LinkOptions) {
    this.session = { prepared, history: undefined };
    this.#client = new Client(config) as PgClient;
    const { connection } = this.#client;
    // Before anything has come over the stream that stays: behind the word that PostgreSQL is ready, in the same packet, a
    // message can begin.
    connection.once(config.ssl ? "sslconnect" : "connect", () => {
      this.#readFrom(connection.stream, maxMessageBytes);
    });
    // From the start: PostgreSQL can end a connection in the very packet that opens it, and an error that nobody
    // listens for would end the process.
    this.#client.on("error", (error) => {
      this.#lost ??= error;
      this.#end()?.lost(error);
      this.onLost?.(error);
    });
  }

  /** Fails as `pg` does. */
  static async open(options: LinkOptions): Promise<Link> {
    const link = new Link(options);
    await link.#client.connect();
    return link;
  }

  /**
   * From now on what comes is read here: `pg` makes an object and several calls of each message, of which there are
   * some thirty in a transaction. It goes on to hear what doesn't belong to a round: first of all, how it begins.
   */
  #readFrom(stream: Duplex, maxMessageBytes: number): void {
    const ofPg = stream.listeners("data").at(-1) as (chunk: Buffer) => void;
    const reader = new FrameReader(maxMessageBytes, {
      onMessage: (type, bytes, start, end) => {
        if (this.#round === undefined) ofPg(bytes.subarray(start - HEADER_BYTES, end));
        else if (type === READY_FOR_QUERY) {
          this.#isInTransaction = bytes[start] !== IDLE;
          this.#end()?.ready();
        } else if (!this.#round.message(type, bytes, start, end)) {
          ofPg(bytes.subarray(start - HEADER_BYTES, end));
        }
      },
      onRefused: () => void stream.destroy(new RoundTooLargeError()),
    });
    stream.off("data", ofPg);
    stream.on("data", (chunk: Buffer) => reader.read(chunk));
  }

  #end(): Round | undefined {
    const round = this.#round;
    this.#round = undefined;
    return round;
  }

  /** What ended it, where it is no more. */
  get lost(): Error | undefined {
    return this.#lost;
  }

  /** PostgreSQL's own word, not a memory of what was sent. */
  get isInTransaction(): boolean {
    return this.#isInTransaction;
  }

  /** One at a time. The round tells by itself what came of it. */
  run(round: Round): void {
    if (this.#lost !== undefined)
      return round.lost(new ConnectionLostError({ sent: "no", cause: this.#lost }));
    this.#round = round;
    round.begin(this.#carrier);
  }

  /** Asks PostgreSQL, over a connection of its own, to give up what runs. */
  cancel(): void {
    const { host, port, processID, secretKey } = this.#client;
    cancelBackend({ host, port, processID, secretKey });
  }

  /** Ends it where it stands. */
  destroy(): void {
    this.#client.connection.stream.destroy(new Error("Connection terminated"));
  }

  /** Ends it, with a word to PostgreSQL where that can be had. Resolves when it is closed. */
  close(): Promise<void> {
    this.silence.end();
    return this.#client.end();
  }
}
