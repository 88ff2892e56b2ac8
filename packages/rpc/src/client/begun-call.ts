import {
  create,
  type DescMessage,
  type DescMethod,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type ServiceError, status } from "@grpc/grpc-js";
import type { Status } from "@tandem/contract/google/rpc/status";
import { countingFields, TooManyFieldsError } from "../count-fields.ts";
import { decodeMessage } from "../decode.ts";
import type { HandlerError } from "../errors/handler-error.ts";
import { fromRpcStatus, fromStatus } from "../errors/status-details.ts";
import { type Sent, TransportError } from "../errors/transport-error.ts";
import type { CallOptions } from "./call-options.ts";
import type { Channel } from "./channel.ts";

/**
 * A call before it is said how its messages travel, by themselves or on a stream that it shares with others: for how long
 * it may take, what is known of its request's fate, and how it can fail.
 */
export class BegunCall {
  /** `tandem.assistant.v1.DbProxy/Transaction` */
  readonly method: string;
  /** Cancels the call: the caller's signal, and that of the handler on whose behalf it is made. */
  readonly signal: AbortSignal | undefined;
  /** When the caller stops waiting, in milliseconds since 1970; Infinity where it never does. */
  readonly deadline: number;
  /** The id under which both sides log it, where it has one from here. */
  readonly callId: string | undefined;
  /** Whether anything of it can have left. Whoever sends it takes note. */
  sent: Sent = "no";
  readonly #channel: Channel;

  /** Fails with a TransportError where the call need not be sent at all. */
  constructor(channel: Channel, method: DescMethod, options: CallOptions) {
    this.#channel = channel;
    this.method = `${method.parent.typeName}/${method.name}`;
    this.signal = anySignal(options.signal, options.context?.signal);
    this.callId = options.context?.callId;
    this.deadline = earliestDeadline(channel, method, options);
    if (this.signal?.aborted === true) throw this.cancelled();
    // An invalid Date is no time to wait for either.
    if (!(this.deadline > Date.now())) {
      throw this.error(status.DEADLINE_EXCEEDED, "the deadline had passed before the call was made");
    }
  }

  /** A failure that this side found, with what is known of the request's fate by now. */
  error(code: status, details: string, cause?: unknown): TransportError {
    const { address } = this.#channel;
    return new TransportError({ code, details, cause, address, sent: this.sent, method: this.method });
  }

  cancelled(): TransportError {
    return this.error(status.CANCELLED, "the caller cancelled it", this.signal?.reason);
  }

  /** The class of our own that stands for a status which came as a message, or in one. */
  fromAnswer({ code, message, details }: Status): HandlerError | TransportError {
    const known = FAILURES.get(code) ?? status.UNKNOWN;
    const decided = fromRpcStatus({ code: known, message, details }, this.method);
    return decided ?? this.error(known, message);
  }

  /** The class of our own that stands for the end of the grpc call that it went by. */
  fromEnd(end: ServiceError): HandlerError | TransportError {
    const decided = fromStatus(end, this.method);
    if (decided !== undefined) return decided;
    if (end.code === status.CANCELLED) {
      if (this.signal?.aborted === true) return this.cancelled();
      if (this.#channel.closed) return this.error(status.UNAVAILABLE, "the channel was closed", end);
    }
    return this.error(end.code, end.details, end);
  }

  /** Encodes a request and checks it against the limits before any of it is sent. */
  encode<I extends DescMessage>(schema: I, request: MessageInitShape<I>): Buffer {
    return this.encodeBy(schema, () => toBinary(schema, create(schema, request)));
  }

  /** The same, of a request that the caller encodes itself. What that fails with says why it is no such message. */
  encodeBy(schema: DescMessage, encode: () => Uint8Array): Buffer {
    const bytes = this.refusing(`the request is not a ${schema.typeName}`, encode);
    const { maxRequestBytes, maxRequestFields } = this.#channel.limits;
    if (bytes.byteLength > maxRequestBytes) {
      const details = `the message has ${bytes.byteLength} bytes, the limit is ${maxRequestBytes}`;
      throw this.error(status.RESOURCE_EXHAUSTED, details);
    }
    try {
      for (const _ of countingFields(schema, bytes, maxRequestFields));
    } catch (error) {
      if (!(error instanceof TooManyFieldsError)) throw error;
      throw this.error(status.RESOURCE_EXHAUSTED, `the message has ${error.message}`);
    }
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Fails with a TransportError where the bytes are no such message. */
  decode<O extends DescMessage>(schema: O, bytes: Uint8Array): MessageShape<O> {
    try {
      return decodeMessage(schema, bytes);
    } catch (cause) {
      throw this.error(status.INTERNAL, `the answer is not a ${schema.typeName}`, cause);
    }
  }

  /** What fails in here is the caller's mistake: a TransportError with these details. */
  protected refusing<T>(details: string, work: () => T): T {
    try {
      return work();
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw this.error(status.INVALID_ARGUMENT, `${details}: ${why}`, cause);
    }
  }
}

// In a message a code is any number. One that stands for no failure says nothing of what happened.
const FAILURES: ReadonlyMap<number, status> = new Map(
  Object.values(status)
    .filter((code) => typeof code !== "string" && code !== status.OK)
    .map((code) => [code, code as status]),
);

function earliestDeadline(channel: Channel, method: DescMethod, options: CallOptions): number {
  const { timeoutMs, deadline, context } = options;
  const earliest = Math.min(
    timeoutMs === undefined ? Infinity : Date.now() + timeoutMs,
    deadline?.getTime() ?? Infinity,
    context?.deadline?.getTime() ?? Infinity,
  );
  const byDefault = method.methodKind === "unary" ? Date.now() + channel.limits.defaultTimeoutMs : Infinity;
  return earliest === Infinity ? byDefault : earliest;
}

function anySignal(own: AbortSignal | undefined, other: AbortSignal | undefined): AbortSignal | undefined {
  if (own === undefined || other === undefined) return own ?? other;
  return AbortSignal.any([own, other]);
}
