import type {
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { TransportError } from "../errors/transport-error.ts";
import type { CallOptions } from "./call-options.ts";
import type { Channel } from "./channel.ts";
import { callStreaming } from "./streaming-call.ts";
import { callUnary } from "./unary-call.ts";

/**
 * A service as a plain object of functions. Each of them fails with a HandlerError (the other side's
 * handler decided) or a TransportError (nobody's handler said so); a stream of requests that fails by itself
 * fails the call with its own error. None gives `undefined` for a failure. A stream starts when its first response is asked for and is cancelled when
 * its loop is left.
 */
export type Client<S extends DescService> = {
  readonly [K in keyof S["method"]]: ClientMethod<S["method"][K]>;
};

type ClientMethod<M> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, options?: CallOptions) => Promise<MessageShape<O>>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageInitShape<I>, options?: CallOptions) => AsyncIterable<MessageShape<O>>
      : M extends DescMethodClientStreaming<infer I, infer O>
        ? (requests: AsyncIterable<MessageInitShape<I>>, options?: CallOptions) => Promise<MessageShape<O>>
        : M extends DescMethodBiDiStreaming<infer I, infer O>
          ? (
              requests: AsyncIterable<MessageInitShape<I>>,
              options?: CallOptions,
            ) => AsyncIterable<MessageShape<O>>
          : never;

/** Makes the client of a service. It holds nothing of its own: close the channel when done. */
export function createClient<S extends DescService>(service: S, channel: Channel): Client<S> {
  const methods = service.methods.map((method) => [method.localName, toFunction(method, channel)]);
  // The functions are made from the same descriptors that the type is derived from.
  return Object.fromEntries(methods) as Client<S>;
}

function toFunction(method: DescMethod, channel: Channel): unknown {
  switch (method.methodKind) {
    case "unary":
      return (request: MessageInitShape<typeof method.input>, options?: CallOptions) =>
        callUnary(channel, method, request, options);
    case "server_streaming":
      return (request: MessageInitShape<typeof method.input>, options?: CallOptions) =>
        callStreaming(channel, method, onlyOne(request), options);
    case "client_streaming":
      return (requests: AsyncIterable<MessageInitShape<typeof method.input>>, options?: CallOptions) =>
        callClientStreaming(channel, method, requests, options);
    case "bidi_streaming":
      return (requests: AsyncIterable<MessageInitShape<typeof method.input>>, options?: CallOptions) =>
        callStreaming(channel, method, requests, options);
  }
}

async function callClientStreaming(
  channel: Channel,
  method: DescMethod,
  requests: AsyncIterable<MessageInitShape<typeof method.input>>,
  options?: CallOptions,
): Promise<MessageShape<typeof method.output>> {
  let response: MessageShape<typeof method.output> | undefined;
  for await (const message of callStreaming(channel, method, requests, options)) response = message;
  if (response !== undefined) return response;
  throw new TransportError({
    code: status.INTERNAL,
    sent: "maybe",
    method: `${method.parent.typeName}/${method.name}`,
    address: channel.address,
    details: "the answer has no message",
  });
}

async function* onlyOne<T>(request: T): AsyncGenerator<T> {
  yield request;
}
