import { create, type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { Metadata } from "@grpc/grpc-js";
import type { ServerSurfaceCall } from "@grpc/grpc-js/build/src/server-call.js";
import { HandlerError } from "../errors/handler-error.ts";
import type { Admission } from "../identity/admission.ts";
import type { RpcLimits } from "../limits.ts";
import type { Logger } from "../logger.ts";
import { type HandlerContext, toCallId } from "./handler-context.ts";
import { MAX_DEPTH, TooManyFieldsError } from "../count-fields.ts";
import { decoding } from "../decode.ts";
import { encoding } from "../encode.ts";
import type { TimeSlices } from "../time-slices.ts";

export interface RunningCallOptions {
  readonly call: ServerSurfaceCall;
  readonly method: string;
  /** Streams are judged anew while they run; who calls once is judged once. */
  readonly streaming: boolean;
  readonly admission: Admission;
  readonly limits: RpcLimits;
  readonly logger: Logger;
  readonly draining: AbortSignal;
  readonly slices: TimeSlices;
}

const ENDINGS = {
  CANCELLED_BY_CALLER: "Nobody waits for the answer any more.",
  DRAINING: "This instance stopped before the call was through: whether it took effect is not known.",
} as const;

/** One call while its handler runs: its context, its cancellation, and the way in and out of bytes. */
export class RunningCall {
  readonly context: HandlerContext;
  readonly streaming: boolean;
  readonly #admission: Admission;
  readonly #limits: RpcLimits;
  readonly #slices: TimeSlices;
  /** Settles when the answer is on its way. */
  readonly finished: Promise<void>;
  readonly #ended = new AbortController();
  readonly #finished: () => void;
  #answered = false;
  #decoded = 0;

  constructor(options: RunningCallOptions) {
    const { call, method, admission, logger, draining } = options;
    this.#admission = admission;
    this.streaming = options.streaming;
    this.#limits = options.limits;
    this.#slices = options.slices;
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
  end(reason: "CANCELLED_BY_CALLER" | "DRAINING"): void {
    if (this.#answered || this.#ended.signal.aborted) return;
    const message = ENDINGS[reason];
    this.#ended.abort(new HandlerError({ reason, message, outcome: "UNKNOWN" }));
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
      if (!this.#answered)
        this.#ended.abort(error instanceof HandlerError ? error.withOutcome("UNKNOWN") : error);
      return false;
    }
  }

  /** From here on the end of the call is no cancellation: grpc-js reports both alike. */
  finish(): void {
    this.#answered = true;
    this.#finished();
  }

  async decode<I extends DescMessage>(schema: I, bytes: Uint8Array): Promise<MessageShape<I>> {
    const { maxRequestBytes, maxRequestFields } = this.#limits;
    // What earlier messages of the stream did stays done.
    const outcome = this.#decoded === 0 ? "NOT_COMMITTED" : "UNKNOWN";
    this.#decoded += 1;
    if (bytes.byteLength > maxRequestBytes) {
      const message = `The message has ${bytes.byteLength} bytes, the limit is ${maxRequestBytes}: send less at a time.`;
      throw new HandlerError({ reason: "REQUEST_TOO_LARGE", message, outcome });
    }
    try {
      return await this.#slices.run(decoding(schema, bytes, maxRequestFields));
    } catch (cause) {
      if (cause instanceof TooManyFieldsError) {
        const message = `The message has ${cause.message}: send less at a time.`;
        throw new HandlerError({ reason: "REQUEST_TOO_LARGE", message, outcome });
      }
      throw new HandlerError({
        reason: "INVALID_REQUEST",
        message: `This is not a ${schema.typeName}, or it is nested more than ${MAX_DEPTH} deep.`,
        outcome,
        cause,
      });
    }
  }

  async encode<O extends DescMessage>(schema: O, response: MessageInitShape<O>): Promise<Buffer> {
    const bytes = await this.#slices.run(encoding(schema, create(schema, response)));
    const { maxResponseBytes } = this.#limits;
    if (bytes.byteLength <= maxResponseBytes)
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    // By now the handler has done its work: a handler whose effects could be lost this way must check
    // the size itself, before it commits.
    throw new HandlerError({
      reason: "RESULT_TOO_LARGE",
      outcome: "UNKNOWN",
      message: `The answer has ${bytes.byteLength} bytes, the limit is ${maxResponseBytes}: ask for less at a time.`,
    });
  }
}
