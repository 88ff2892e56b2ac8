import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { RpcLimits } from "../limits.ts";
import type { HandlerContext } from "./handler-context.ts";
import type { Item, ItemCall, ItemListener, ItemSurroundings } from "./item-call.ts";
import { ItemCalls } from "./item-calls.ts";
import type { RunningCall } from "./running-call.ts";

/**
 * Answers a method that streams both ways message by message, as bytes: for streams whose every message is worth
 * little, or a call of its own. Others are generators.
 */
export interface MessageStreamHandler {
  /** Called with each stream that is let in. What it gives is told what comes. */
  open(stream: MessageStream, context: HandlerContext): MessageStreamReader;
}

/** Told in turn what comes of a stream. What one of these throws ends the stream, as a handler's error ends a call. */
export interface MessageStreamReader {
  message(bytes: Uint8Array): void;
  /** No more will come. A caller that left can look like this for a moment. */
  halfClosed(): void;
  /**
   * `context.signal` is aborted, and so are those of the items that run. Nothing comes any more, and what is written
   * from now on may get nowhere; `end` or `fail` is still to be called.
   */
  aborted(): void;
}

/** A stream, to whom answers it. */
export interface MessageStream {
  readonly limits: RpcLimits;
  /** Whether there is nobody any more to write to. */
  readonly gone: boolean;
  /** Writes a message; `written` is called when it is on its way, and never where there is nobody to write to. */
  write(bytes: Uint8Array, written: () => void): void;
  /** Lets no message come, after those that are here, so that its caller can't send more; `resume` ends that. */
  pause(): void;
  resume(): void;
  /** Makes an item a call of its own. */
  call<T extends Item>(item: T, listener: ItemListener<T>): ItemCall<T>;
  /** Runs it: nothing is told of it before. The stream isn't over for the server until its items are. */
  begin(call: ItemCall): void;
  /** Ends the stream, when all that was written is on its way. */
  end(): void;
  /** Ends it with an error. */
  fail(error: unknown): void;
}

/** Has a handler answer a stream. Resolves, or fails as the handler does, when it has ended it. */
export async function runMessageStream(
  grpc: ServerDuplexStream<Buffer, Buffer>,
  running: RunningCall,
  {
    handler,
    surroundings,
  }: { readonly handler: MessageStreamHandler; readonly surroundings: ItemSurroundings },
): Promise<void> {
  const { context, codec } = running;
  const { signal } = context;
  const items = new ItemCalls(surroundings);
  running.carry(items);
  const over = Promise.withResolvers<void>();
  const reader = handler.open(
    {
      limits: codec.limits,
      get gone() {
        return grpc.cancelled;
      },
      write: (bytes, written) => {
        grpc.sendMetadata(context.responseHeaders);
        // What can't be written is not wanted any more: the signal says so.
        const message = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        grpc.write(message, (error?: Error | null) => error ?? written());
      },
      pause: () => void grpc.pause(),
      resume: () => void grpc.resume(),
      call: (item, listener) => items.create(item, listener),
      begin: (call) => items.begin(call),
      end: over.resolve,
      fail: over.reject,
    },
    context,
  );
  const telling = (tell: () => void): void => {
    try {
      tell();
    } catch (error) {
      over.reject(error);
    }
  };
  const onAbort = (): void => {
    grpc.pause();
    telling(() => reader.aborted());
  };
  grpc.on("data", (bytes: Buffer) => {
    if (!signal.aborted && running.recheckAdmission()) telling(() => reader.message(bytes));
  });
  grpc.on("end", () => signal.aborted || telling(() => reader.halfClosed()));
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  await over.promise;
}
