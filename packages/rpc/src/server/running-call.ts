import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import { Metadata } from "@grpc/grpc-js";
import type { ServerSurfaceCall } from "@grpc/grpc-js/build/src/server-call.js";
import { HandlerError } from "../errors/handler-error.ts";
import type { Admission } from "../identity/admission.ts";
import type { Logger } from "../logger.ts";
import { type HandlerContext, toCallId } from "./handler-context.ts";
import type { EncodedMessage } from "./encoded-message.ts";
import { type Codec, decodeRequest, encodeResponse } from "./codec.ts";
import { endedBy, type Ending } from "./endings.ts";
import type { ItemCalls } from "./item-calls.ts";
import type { RequestReading } from "./unary-handler.ts";

export interface RunningCallOptions {
  readonly call: ServerSurfaceCall;
  readonly method: string;
  /** Streams are judged anew while they run; who calls once is judged once. */
  readonly streaming: boolean;
  readonly admission: Admission;
  readonly codec: Codec;
  readonly logger: Logger;
  readonly draining: AbortSignal;
}

/** One call while its handler runs: its context, its cancellation, and the way in and out of bytes. */
export class RunningCall {
  readonly context: HandlerContext;
  readonly streaming: boolean;
  readonly codec: Codec;
  readonly #admission: Admission;
  /** Settles when the answer is on its way. */
  readonly finished: Promise<void>;
  readonly #ended = new AbortController();
  readonly #finished: () => void;
  #items: ItemCalls | undefined;
  #answered = false;
  #end = (reason: unknown): void => this.#ended.abort(reason);
  #decoded = 0;

  constructor(options: RunningCallOptions) {
    const { call, method, admission, logger, draining } = options;
    this.#admission = admission;
    this.streaming = options.streaming;
    this.codec = options.codec;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.finished = promise;
    this.#finished = resolve;
    const deadline = call.getDeadline();
    const callId = toCallId(call.metadata);
    this.context = {
      method,
      callId,
      caller: admission.caller,
      authoriseItem: (item) => admission.authoriseItem(item),
      peer: call.getPeer(),
      deadline: deadline === Infinity ? undefined : new Date(deadline),
      signal: this.#ended.signal,
      draining,
      metadata: call.metadata,
      responseHeaders: new Metadata(),
      responseTrailers: new Metadata(),
      logger: logger.child({ callId, method, caller: admission.caller, peer: call.getPeer() }),
    };
    call.once("cancelled", () => this.end("CANCELLED_BY_CALLER"));
  }

  /** Tells the handler, where it still runs, to give up. How far it came by then is not known here. */
  end(reason: Ending): void {
    if (this.#answered || this.#ended.signal.aborted) return;
    this.#ended.abort(endedBy(reason));
  }

  /**
   * Judges a stream anew while it runs: a caller that may not go on is told so, and so is the handler. What was
   * done by then stays done. Gives whether it may go on.
   */
  recheckAdmission(): boolean {
    try {
      this.#admission.check();
      return true;
    } catch (error) {
      const reason = error instanceof HandlerError ? error.withOutcome("UNKNOWN") : error;
      if (!this.#answered) this.#end(reason);
      return false;
    }
  }

  /** From here on these are part of it. */
  carry(items: ItemCalls): void {
    this.#items = items;
  }

  /** In place of the end of its signal, this is called where it may not go on, each time that it is judged. */
  endsBy(end: (reason: unknown) => void): void {
    this.#end = end;
  }

  /** How many calls it stands for: a stream, for the items that run on it. */
  get load(): number {
    return Math.max(1, this.#items?.running ?? 0);
  }

  /** Resolves when no item of it runs. */
  async itemsEnded(): Promise<void> {
    await this.#items?.ended();
  }

  /** From here on the end of the call is no cancellation: grpc-js reports both alike. */
  finish(): void {
    this.#answered = true;
    this.#finished();
  }

  async decode<T>(request: RequestReading<T>, bytes: Uint8Array): Promise<T> {
    // What earlier messages of the stream did stays done.
    const outcome = this.#decoded === 0 ? "NOT_COMMITTED" : "UNKNOWN";
    this.#decoded += 1;
    return decodeRequest(request, bytes, { ...this.codec, outcome });
  }

  async encode<O extends DescMessage>(
    schema: O,
    response: MessageInitShape<O> | EncodedMessage,
  ): Promise<Buffer> {
    const bytes = await encodeResponse(schema, response, this.codec);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
}
