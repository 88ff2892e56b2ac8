import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { StatusSchema } from "@tandem/contract/google/rpc/status";
import {
  DbProxy,
  TransactionRequestSchema,
  TransactionResponseSchema,
  type TransactionStreamRequest,
  TransactionStreamRequestSchema,
  TransactionStreamResponseSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import {
  type Handlers,
  type Item,
  type ItemAnswer,
  type ItemCall,
  itemMethod,
  type MessageStream,
  type MessageStreamHandler,
} from "@tandem/rpc";

/** Streams that are answered by the function that answers calls. Each answer comes in a message of its own. */
export interface AnsweredStreams {
  readonly handler: MessageStreamHandler;
  readonly messages: readonly TransactionStreamRequest[];
  /** How many are open, and were opened at all. */
  open(): number;
  opened(): number;
  /** Asks for other ones in place of those that are open. */
  renew(): void;
}

export function answerStreams(transaction: Handlers<typeof DbProxy>["transaction"]): AnsweredStreams {
  const messages: TransactionStreamRequest[] = [];
  const open = new Map<MessageStream, { goAway(): void }>();
  let opened = 0;
  const handler = answeringItems(transaction, {
    onMessage: (message) => messages.push(message),
    onOpen: (stream, goAway) => {
      opened += 1;
      open.set(stream, { goAway });
    },
    onClosed: (stream) => open.delete(stream),
  });
  return {
    handler,
    messages,
    open: () => open.size,
    opened: () => opened,
    renew: () => {
      for (const stream of open.values()) stream.goAway();
    },
  };
}

interface StreamListener {
  readonly onMessage: (message: TransactionStreamRequest) => void;
  readonly onOpen: (stream: MessageStream, goAway: () => void) => void;
  readonly onClosed: (stream: MessageStream) => void;
}

function answeringItems(
  transaction: Handlers<typeof DbProxy>["transaction"],
  { onMessage, onOpen, onClosed }: StreamListener,
): MessageStreamHandler {
  const method = itemMethod(DbProxy.method.transaction, transaction);
  return {
    open: (stream, context) => {
      const goAway = (): void => send(stream, { outcome: { case: "goAway", value: true } });
      context.draining.addEventListener("abort", goAway, { once: true });
      onOpen(stream, goAway);
      const running = new Map<bigint, ItemCall>();
      let halfClosed = false;
      const endIfDone = (): void => {
        if (halfClosed && running.size === 0) stream.end();
      };
      const take = (entry: TransactionStreamRequest): void => {
        const { id, kind, timeout, metadata } = entry;
        if (kind.case !== "request") return running.get(id)?.cancel();
        const item: Item = {
          method,
          request: toBinary(TransactionRequestSchema, kind.value),
          metadata: new Map(Object.entries(metadata)),
          deadline: timeout === undefined ? undefined : new Date(Date.now() + durationMs(timeout)),
        };
        const call = stream.call(item, {
          answered: (_, answer) => send(stream, { id, outcome: toOutcome(answer) }),
          ended: () => {
            running.delete(id);
            endIfDone();
          },
        });
        running.set(id, call);
        stream.begin(call);
      };
      return {
        message: (bytes) => {
          const message = fromBinary(TransactionStreamRequestSchema, bytes);
          onMessage(message);
          for (const entry of [message, ...message.more]) take(entry);
        },
        halfClosed: () => {
          halfClosed = true;
          endIfDone();
        },
        aborted: () => stream.end(),
        closed: () => {
          context.draining.removeEventListener("abort", goAway);
          onClosed(stream);
        },
      };
    },
  };
}

function toOutcome({ kind, bytes }: ItemAnswer) {
  return kind === "response"
    ? { case: "response" as const, value: fromBinary(TransactionResponseSchema, bytes) }
    : { case: "error" as const, value: fromBinary(StatusSchema, bytes) };
}

function send(stream: MessageStream, init: MessageInitShape<typeof TransactionStreamResponseSchema>): void {
  const answer = create(TransactionStreamResponseSchema, init);
  stream.write(toBinary(TransactionStreamResponseSchema, answer), () => {});
}
