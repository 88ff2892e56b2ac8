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
   * Its caller may not go on. Items that come are refused by themselves, and those that run are to be answered. Without
   * this all of it ends at once.
   */
  unwelcome?(reason: unknown): void;
  /** `context.signal` is aborted, and so are those of the items that run. What is written may still get there. */
  aborted(): void;
  /** The stream is over: because it was ended, or because nobody is left to write to. Nothing more is told of it. */
  closed(): void;
}

/** A stream, to whom answers it. */
export interface MessageStream {
  readonly limits: RpcLimits;
  /** Writes a message; `written` is called when it is on its way, and never where the stream is over by then. */
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
  let isOver = false;
  const stream: MessageStream = {
    limits: codec.limits,
    write: (bytes, written) => {
      if (isOver) return;
      const message = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      // What can't be written is not wanted any more: the signal says so.
      grpc.write(message, (error?: Error | null) => error ?? (isOver || written()));
    },
    pause: () => void grpc.pause(),
    resume: () => void grpc.resume(),
    call: (item, listener) => items.create(item, listener),
    begin: (call) => items.begin(call),
    end: over.resolve,
    fail: over.reject,
  };
  const reader = handler.open(stream, context);
  // Before anything is read: a stream that ends without headers was refused, and nothing on it was run.
  grpc.sendMetadata(context.responseHeaders);
  const tell = (what: () => void): void => {
    try {
      if (!isOver) what();
    } catch (error) {
      over.reject(error);
    }
  };
  if (reader.unwelcome !== undefined) {
    running.endsBy((reason) => tell(() => reader.unwelcome?.(reason)));
  }
  const onAbort = (): void => tell(() => reader.aborted());
  signal.addEventListener("abort", onAbort, { once: true });
  readNoneAhead(grpc);
  grpc.on("data", (bytes: Buffer) => {
    if (signal.aborted) return;
    running.recheckAdmission();
    if (!signal.aborted) tell(() => reader.message(bytes));
  });
  grpc.on("end", () => signal.aborted || tell(() => reader.halfClosed()));
  grpc.once("cancelled", () => over.reject(signal.reason));
  if (grpc.cancelled) over.reject(signal.reason);
  try {
    await over.promise;
  } finally {
    isOver = true;
    signal.removeEventListener("abort", onAbort);
    reader.closed();
  }
}

// Node reads 16 messages ahead of whoever pauses a stream, of any size, and can't be told otherwise: the number is that
// of objects, set where grpc-js makes the stream. A test notices where Node has it elsewhere.
function readNoneAhead(stream: ServerDuplexStream<Buffer, Buffer>): void {
  const { _readableState: state } = stream as unknown as {
    readonly _readableState: { highWaterMark: number };
  };
  state.highWaterMark = 0;
}
