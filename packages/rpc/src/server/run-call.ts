import type { DescMessage, DescMethod, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { Metadata, status } from "@grpc/grpc-js";
import type { sendUnaryData, ServerDuplexStream, ServerUnaryCall, UntypedHandleCall } from "@grpc/grpc-js";
import { once } from "node:events";
import { type AnswerStatus, toAnswer } from "./answer.ts";
import type { EncodedMessage } from "./encoded-message.ts";
import type { HandlerContext } from "./handler-context.ts";
import type { ItemSurroundings } from "./item-call.ts";
import { type MessageStreamHandler, runMessageStream } from "./message-stream.ts";
import { refusal } from "./resends.ts";
import type { RunningCall } from "./running-call.ts";
import { type Answering, bySchema } from "./unary-handler.ts";

type Streaming = (
  requests: AsyncIterable<MessageShape<DescMessage>>,
  context: HandlerContext,
) => AsyncIterable<MessageInitShape<DescMessage>>;

export interface CallRunner {
  /** Begins a call: counts it among those that a drain waits for. */
  readonly begin: (
    call: ServerUnaryCall<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>,
    path: string,
  ) => RunningCall;
  readonly finish: (call: RunningCall) => void;
  readonly intercept: ItemSurroundings["intercept"];
}

/** What grpc-js calls for a method with one request and one response. */
export function unaryCall(
  method: DescMethod,
  answering: Answering<MessageInitShape<DescMessage> | EncodedMessage>,
  runner: CallRunner,
): UntypedHandleCall {
  return (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>): void => {
    const running = runner.begin(call, toPath(method));
    const { context } = running;
    let response: Buffer | undefined;
    let handled = false;
    const run = async (): Promise<void> => {
      const request = await running.decode(answering, call.request);
      handled = true;
      response = await running.encode(method.output, await answering.handle(request, context));
    };
    const answer = async (): Promise<void> => {
      const failure = await attempt(running, async () => {
        try {
          await runner.intercept(context, run);
        } catch (error) {
          throw handled
            ? error
            : await refusal(() => running.decode(bySchema(method.input), call.request), error);
        }
      });
      if (failure === undefined) {
        call.sendMetadata(context.responseHeaders);
        callback(null, response, context.responseTrailers);
      } else {
        callback(failure);
      }
      runner.finish(running);
    };
    answer().catch((error: unknown) => callback(abandon(context, error)));
  };
}

/** What grpc-js calls for a method that streams, seen as many requests and many responses. */
export function streamingCall(method: DescMethod, handler: Streaming, runner: CallRunner): UntypedHandleCall {
  return streamedCall(method, runner, async (stream, running) => {
    const { context } = running;
    const responses = handler(readRequests(method, stream, running), context);
    for await (const response of untilAborted(responses, context.signal)) {
      const bytes = await running.encode(method.output, response);
      running.recheckAdmission();
      await write(stream, bytes, context);
    }
  });
}

/** The same, for a handler that reads and writes messages as bytes. */
export function messageStreamCall(
  method: DescMethod,
  handler: MessageStreamHandler,
  runner: CallRunner & Pick<ItemSurroundings, "logger" | "logRefusal">,
): UntypedHandleCall {
  return streamedCall(method, runner, (stream, running) => {
    const { context, codec } = running;
    const { intercept, logger, logRefusal } = runner;
    return runMessageStream(stream, running, {
      handler,
      surroundings: { stream: context, codec, intercept, logger, logRefusal },
    });
  });
}

function streamedCall(
  method: DescMethod,
  runner: CallRunner,
  run: (stream: ServerDuplexStream<Buffer, Buffer>, running: RunningCall) => Promise<void>,
): UntypedHandleCall {
  return (stream: ServerDuplexStream<Buffer, Buffer>): void => {
    const running = runner.begin(stream, toPath(method));
    const { context } = running;
    const answer = async (): Promise<void> => {
      const failure = await attempt(running, () => runner.intercept(context, () => run(stream, running)));
      if (failure === undefined) {
        stream.end(context.responseTrailers);
      } else {
        // Only the event carries the code and the details; destroy(error) would end it without either.
        stream.emit("error", toError(failure));
      }
      await running.itemsEnded();
      runner.finish(running);
    };
    answer().catch((error: unknown) => stream.emit("error", toError(abandon(context, error))));
  };
}

// Nothing should come to this. If it does, its caller is told at least that, and nobody else suffers.
function abandon(context: HandlerContext, error: unknown): AnswerStatus {
  context.logger.error({ err: error }, "the answer could not be sent");
  return { code: status.INTERNAL, details: "The answer could not be sent.", metadata: new Metadata() };
}

function toError(answer: AnswerStatus): Error {
  return Object.assign(new Error(answer.details), answer);
}

function toPath(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}

async function attempt(running: RunningCall, run: () => Promise<void>): Promise<AnswerStatus | undefined> {
  const { context } = running;
  const started = performance.now();
  let failure: AnswerStatus | undefined;
  try {
    await run();
  } catch (error) {
    failure = toAnswer(error, context);
  }
  const ms = Math.round(performance.now() - started);
  context.logger.debug({ code: status[failure?.code ?? status.OK], ms, peer: context.peer }, "call");
  return failure;
}

async function* readRequests(
  method: DescMethod,
  stream: ServerDuplexStream<Buffer, Buffer>,
  running: RunningCall,
): AsyncGenerator<MessageShape<DescMessage>> {
  try {
    // Without destroyOnReturn the stream can still be answered when the handler stops reading early.
    for await (const bytes of stream.iterator({ destroyOnReturn: false })) {
      if (!running.recheckAdmission()) throw running.context.signal.reason;
      yield await running.decode(bySchema(method.input), bytes);
    }
  } catch (error) {
    // A stream that ends because the caller left says "premature close": the reason is the caller.
    throw running.context.signal.aborted ? running.context.signal.reason : error;
  }
}

async function write(
  stream: ServerDuplexStream<Buffer, Buffer>,
  bytes: Buffer,
  context: HandlerContext,
): Promise<void> {
  context.signal.throwIfAborted();
  stream.sendMetadata(context.responseHeaders);
  if (stream.write(bytes)) return;
  await once(stream, "drain", { signal: context.signal });
}

/** Gives what the handler gives, but doesn't wait for its next value once nobody waits for that. */
async function* untilAborted<T>(values: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = values[Symbol.asyncIterator]();
  const aborted = Promise.withResolvers<never>();
  aborted.promise.catch(() => {});
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    for (;;) {
      signal.throwIfAborted();
      const next = await Promise.race([iterator.next(), aborted.promise]);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    // The handler's own clean-up runs; whoever left doesn't wait for it, nor for what it throws.
    void Promise.resolve(iterator.return?.()).catch(() => {});
  }
}
