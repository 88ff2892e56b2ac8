import { type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { type ClientDuplexStream, type ServiceError, status } from "@grpc/grpc-js";
import { once } from "node:events";
import type { CallOptions } from "./call-options.ts";
import type { Channel } from "./channel.ts";
import { type MethodOf, StartedCall } from "./started-call.ts";
import { asIs } from "./unary-call.ts";

/**
 * Any call that streams, seen as many requests and many responses. It starts with the first response
 * asked for; leaving the loop early cancels it. Back-pressure holds both ways: a request is taken from
 * `requests` only when the one before is on its way, a response is read only when it is asked for.
 */
export async function* callStreaming<I extends DescMessage, O extends DescMessage>(
  channel: Channel,
  method: MethodOf<I, O>,
  requests: AsyncIterable<MessageInitShape<I>>,
  options: CallOptions = {},
): AsyncGenerator<MessageShape<O>, void, undefined> {
  const call = new StartedCall(channel, method, options);
  const iterator = requests[Symbol.asyncIterator]();
  const stream = openStream(channel, call);
  const running = call.running(stream);
  const holding = holdProcess(call.deadline);
  const sending = new RequestPump(stream, call, method.input, iterator);
  try {
    for await (const bytes of stream) yield call.decode(method.output, bytes);
  } catch (error) {
    // The caller's own iterable failed first: that is what went wrong, not the cancellation behind it.
    throw sending.failure ?? (isServiceError(error) ? call.fromGrpc(error, stream.getPeer()) : error);
  } finally {
    running.over();
    clearInterval(holding);
    stream.cancel();
    sending.stop();
  }
}

function openStream(channel: Channel, call: StartedCall): ClientDuplexStream<Buffer, Buffer> {
  try {
    const { path, metadata, grpcOptions } = call;
    const stream = channel.grpc.makeBidiStreamRequest(path, asIs, asIs, metadata, grpcOptions);
    call.observe(stream);
    // Read errors surface in the loop; this listener only keeps a late one from ending the process.
    stream.on("error", () => {});
    return stream;
  } catch (cause) {
    // grpc-js throws where the channel was closed.
    throw call.error(status.UNAVAILABLE, "the channel is closed", cause);
  }
}

// The connection may have been let go of for a stream that is only kept open (`openCallStream`): a call is waited
// for all the same, and one with a deadline has a timer.
function holdProcess(deadline: number): NodeJS.Timeout | undefined {
  return deadline === Infinity ? setInterval(() => {}, MAX_INTERVAL_MS) : undefined;
}

const MAX_INTERVAL_MS = 2 ** 31 - 1;

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "details" in error && "metadata" in error;
}

/** Sends what the caller's iterable gives, one message at a time, until either side is done. */
class RequestPump<I extends DescMessage> {
  /** What the caller's iterable, or the encoding of what it gave, failed with. */
  failure: unknown;
  readonly #stream: ClientDuplexStream<Buffer, Buffer>;
  readonly #iterator: AsyncIterator<MessageInitShape<I>>;
  #stopped = false;

  constructor(
    stream: ClientDuplexStream<Buffer, Buffer>,
    call: StartedCall,
    schema: I,
    iterator: AsyncIterator<MessageInitShape<I>>,
  ) {
    this.#stream = stream;
    this.#iterator = iterator;
    stream.once("status", () => this.stop());
    void this.#run((request) => call.encode(schema, request));
  }

  /** Takes no more from the iterable. One that is waiting for its next value is told, not waited for. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    // Whatever its clean-up throws, the call is over and its outcome known.
    void Promise.resolve(this.#iterator.return?.()).catch(() => {});
  }

  async #run(encode: (request: MessageInitShape<I>) => Buffer): Promise<void> {
    try {
      for (;;) {
        const next = await this.#iterator.next();
        if (this.#stopped) return;
        if (next.done === true) break;
        if (!this.#stream.write(encode(next.value))) await this.#drained();
      }
      this.#stopped = true;
      this.#stream.end();
    } catch (error) {
      if (this.#stopped) return;
      this.failure = error;
      this.#stream.cancel();
    }
  }

  async #drained(): Promise<void> {
    const over = new AbortController();
    const options = { signal: over.signal };
    const waits = [once(this.#stream, "drain", options), once(this.#stream, "close", options)];
    try {
      await Promise.race(waits);
    } finally {
      over.abort();
      await Promise.allSettled(waits);
    }
  }
}
