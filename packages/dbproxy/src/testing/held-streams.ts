import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { ErrorInfoSchema } from "@tandem/contract/google/rpc/error_details";
import {
  type TransactionResponseSchema,
  type TransactionStreamRequest,
  TransactionStreamRequestSchema,
  TransactionStreamResponseSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { Outcome, WriteFailureSchema } from "@tandem/contract/tandem/errors/v1/errors";
import { type HandlerContext, type MessageStream, type MessageStreamHandler, StatusCode } from "@tandem/rpc";
import { waitFor } from "@tandem/testkit";

/** The owner's side of streams, in the hands of a test. */
export interface HeldStreams {
  readonly handler: MessageStreamHandler;
  readonly streams: readonly HeldStream[];
  /** The stream with this index, once it is open. */
  stream(index: number): Promise<HeldStream>;
}

export function holdStreams(onOpen: (stream: HeldStream) => void = () => {}): HeldStreams {
  const streams: HeldStream[] = [];
  return {
    streams,
    handler: {
      open: (stream, context) => {
        const held = new HeldStream(stream, context);
        streams.push(held);
        onOpen(held);
        return {
          message: (bytes) => held.messages.push(fromBinary(TransactionStreamRequestSchema, bytes)),
          halfClosed: () => {
            held.isHalfClosed = true;
          },
          aborted: () => stream.end(),
          closed: () => {
            held.isClosed = true;
          },
        };
      },
    },
    stream: (index) => waitFor(() => streams[index], { describe: `stream ${index} to be opened` }),
  };
}

export class HeldStream {
  readonly messages: TransactionStreamRequest[] = [];
  readonly context: HandlerContext;
  isHalfClosed = false;
  isClosed = false;
  readonly #stream: MessageStream;

  constructor(stream: MessageStream, context: HandlerContext) {
    this.#stream = stream;
    this.context = context;
  }

  /** What came, in its order, whether by itself or with others. */
  get entries(): readonly TransactionStreamRequest[] {
    return this.messages.flatMap((message) => [message, ...message.more]);
  }

  /** The first so many that came, once they are there. */
  async received(count: number): Promise<readonly TransactionStreamRequest[]> {
    await waitFor(() => this.entries.length >= count, { describe: `${count} entries on the stream` });
    return this.entries.slice(0, count);
  }

  async halfClosed(): Promise<void> {
    await waitFor(() => this.isHalfClosed, { describe: "the stream to be half-closed" });
  }

  send(...answers: readonly MessageInitShape<typeof TransactionStreamResponseSchema>[]): void {
    const [message, ...more] = answers.map((answer) => create(TransactionStreamResponseSchema, answer));
    if (message === undefined) return;
    message.more = more;
    this.sendBytes(toBinary(TransactionStreamResponseSchema, message));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#stream.write(bytes, () => {});
  }

  /** Answers the transactions with these ids. */
  answer(...ids: readonly bigint[]): void {
    this.send(...ids.map((id) => ({ id, outcome: answered })));
  }

  /** Refuses them, as a stream does that takes no more; "ended" is what it says of those that ran. */
  refuse(why: "DRAINING" | "UNAUTHENTICATED" | "ended", ...ids: readonly bigint[]): void {
    const isAway = why !== "UNAUTHENTICATED";
    const info = { reason: isAway ? "DRAINING" : why, domain: "tandem" };
    const outcome = why === "DRAINING" ? Outcome.NOT_COMMITTED : Outcome.UNKNOWN;
    const value = {
      code: isAway ? StatusCode.UNAVAILABLE : StatusCode.UNAUTHENTICATED,
      message: "Not here.",
      details: [
        anyPack(ErrorInfoSchema, create(ErrorInfoSchema, info)),
        anyPack(WriteFailureSchema, create(WriteFailureSchema, { outcome, retryable: isAway })),
      ],
    };
    this.send(...ids.map((id) => ({ id, outcome: { case: "error" as const, value } })));
  }

  goAway(): void {
    this.send({ outcome: { case: "goAway", value: true } });
  }

  /** Reads no more: what is sent then stays where it is. */
  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  end(): void {
    this.#stream.end();
  }

  fail(error: unknown): void {
    this.#stream.fail(error);
  }
}

const response: MessageInitShape<typeof TransactionResponseSchema> = { results: [{ changes: 1n }] };
const answered = { case: "response" as const, value: response };
