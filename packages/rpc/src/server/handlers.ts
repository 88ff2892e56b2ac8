import type {
  DescMethodBiDiStreaming,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { HandlerContext } from "./handler-context.ts";
import type { MessageStreamHandler } from "./message-stream.ts";
import type { Awaitable, UnaryHandler } from "./unary-handler.ts";

/**
 * A service's handlers: a function for each of its methods, none left out.
 *
 * The end of a stream of requests says only that no more will come. Node's HTTP/2 gives a stream that
 * its caller cancels an ordinary end before it resets it, so for a moment a caller that left looks like
 * one that is done. A method whose effect depends on having all the requests needs a last one that says
 * so, or requests that each stand alone.
 */
export type Handlers<S extends DescService> = {
  readonly [K in keyof S["method"]]: HandlerOf<S["method"][K]>;
};

type HandlerOf<M> =
  M extends DescMethodUnary<infer I, infer O>
    ? UnaryHandler<I, O>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageShape<I>, context: HandlerContext) => AsyncIterable<MessageInitShape<O>>
      : M extends DescMethodClientStreaming<infer I, infer O>
        ? (
            requests: AsyncIterable<MessageShape<I>>,
            context: HandlerContext,
          ) => Awaitable<MessageInitShape<O>>
        : M extends DescMethodBiDiStreaming<infer I, infer O>
          ?
              | MessageStreamHandler
              | ((
                  requests: AsyncIterable<MessageShape<I>>,
                  context: HandlerContext,
                ) => AsyncIterable<MessageInitShape<O>>)
          : never;

/**
 * Runs around every call, whatever its kind. It lets the call through with `next`, or throws a
 * HandlerError instead of calling it.
 */
export type Interceptor = (context: HandlerContext, next: () => Promise<void>) => Promise<void>;
