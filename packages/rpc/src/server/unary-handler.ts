import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { decoding } from "../decode.ts";
import type { Interruptible } from "../time-slices.ts";
import type { EncodedMessage } from "./encoded-message.ts";
import type { HandlerContext } from "./handler-context.ts";

export type Awaitable<T> = T | Promise<T>;

/** What answers a method with one request and one response: a function, or one that reads its request by itself. */
export type UnaryHandler<I extends DescMessage, O extends DescMessage> =
  | ((request: MessageShape<I>, context: HandlerContext) => Awaitable<MessageInitShape<O> | EncodedMessage>)
  | ReadingHandler<unknown, MessageInitShape<O> | EncodedMessage>;

/** A handler that is given what it makes of a request's bytes, rather than a message that is made of the schema. */
export interface ReadingHandler<Request, Response> {
  /**
   * The bytes are within the limits, and the fields are counted. Whatever it throws says that they are no such request:
   * the handler isn't called, and the caller hears INVALID_REQUEST.
   */
  read(bytes: Uint8Array): Interruptible<Request>;
  handle(request: Request, context: HandlerContext): Awaitable<Response>;
}

/** How a request of a schema is read. */
export interface RequestReading<T> {
  readonly schema: DescMessage;
  readonly read: (bytes: Uint8Array) => Interruptible<T>;
}

/** Reads it as its schema says. */
export function bySchema<D extends DescMessage>(schema: D): RequestReading<MessageShape<D>> {
  return { schema, read: (bytes) => decoding(schema, bytes) };
}

/** A handler of either kind, with its way to read. */
export interface Answering<Response> extends RequestReading<unknown> {
  /** Takes what `read` gives. */
  readonly handle: (request: unknown, context: HandlerContext) => Awaitable<Response>;
}

export function toAnswering<I extends DescMessage, O extends DescMessage>(
  schema: I,
  handler: UnaryHandler<I, O>,
): Answering<MessageInitShape<O> | EncodedMessage> {
  if (typeof handler === "function") {
    const { read } = bySchema(schema);
    return { schema, read, handle: (request, context) => handler(request as MessageShape<I>, context) };
  }
  return {
    schema,
    read: (bytes) => handler.read(bytes),
    handle: (request, context) => handler.handle(request, context),
  };
}
