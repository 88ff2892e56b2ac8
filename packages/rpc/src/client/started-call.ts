import {
  create,
  type DescMessage,
  type DescMethod,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { EventEmitter } from "node:events";
import {
  type CallOptions as GrpcCallOptions,
  credentials,
  Metadata,
  type ServiceError,
  status,
  type StatusObject,
} from "@grpc/grpc-js";
import { countingFields, TooManyFieldsError } from "../count-fields.ts";
import type { HandlerError } from "../errors/handler-error.ts";
import { fromStatus } from "../errors/status-details.ts";
import { TransportError } from "../errors/transport-error.ts";
import { AUTHORIZATION_HEADER } from "../identity/presented-token.ts";
import { CALL_ID_HEADER } from "../server/handler-context.ts";
import type { CallOptions } from "./call-options.ts";
import type { Channel } from "./channel.ts";

/** A method of whatever kind, with the messages that it takes and gives. */
export type MethodOf<I extends DescMessage, O extends DescMessage> = DescMethod & {
  readonly input: I;
  readonly output: O;
};

/** What the four kinds of calls have in common: where it goes, for how long, and how it can fail. */
export class StartedCall {
  /** `/tandem.assistant.v1.DbProxy/Transaction` */
  readonly path: string;
  readonly metadata: Metadata;
  readonly grpcOptions: GrpcCallOptions;
  /** Cancels the call: the caller's signal, and that of the handler on whose behalf it is made. */
  readonly signal: AbortSignal | undefined;
  readonly #channel: Channel;
  readonly #options: CallOptions;
  #sent: "no" | "maybe" = "no";

  /** Fails with a TransportError where the call need not be sent at all. */
  constructor(channel: Channel, method: DescMethod, options: CallOptions) {
    this.#channel = channel;
    this.#options = options;
    this.path = `/${method.parent.typeName}/${method.name}`;
    this.signal = anySignal(options.signal, options.context?.signal);
    const deadline = earliestDeadline(channel, method, options);
    if (this.signal?.aborted === true) throw this.cancelled();
    if (deadline <= Date.now()) {
      throw this.error(status.DEADLINE_EXCEEDED, "the deadline had passed before the call was made");
    }
    this.metadata = this.#refusing("the metadata can't be sent", () => toMetadata(options));
    this.grpcOptions = { deadline, credentials: credentials.createFromMetadataGenerator(this.#onPicked) };
  }

  // grpc-js asks for a call's credentials once it has picked a connection, right before it opens the
  // stream. No earlier public sign tells a request that may be under way from one that can't be.
  readonly #onPicked = (_: unknown, callback: (error: null, metadata: Metadata) => void): void => {
    this.#sent = "maybe";
    const authorization = this.#channel.authorization();
    // What the caller says of this one call goes before what the channel says of all.
    const own = this.metadata.get(AUTHORIZATION_HEADER).length > 0;
    callback(null, authorization === undefined || own ? NO_METADATA : withAuthorization(authorization));
  };

  /**
   * The class of our own that stands for what grpc-js reports. `peer` is whom the call ended with: the
   * channel's target, not an address, where its last attempt found no connection. An attempt before
   * that was one that the peer's HTTP/2 layer refused unseen: grpc-js makes a second for no other reason.
   */
  fromGrpc(error: ServiceError, peer: string): HandlerError | TransportError {
    if (peer === this.#channel.grpc.getChannel().getTarget()) this.#sent = "no";
    const decided = fromStatus(error, this.path.slice(1));
    if (decided !== undefined) return decided;
    if (error.code === status.CANCELLED) {
      if (this.signal?.aborted === true) return this.cancelled();
      if (this.#channel.closed) return this.error(status.UNAVAILABLE, "the channel was closed", error);
    }
    return this.error(error.code, error.details, error);
  }

  /** A failure that this side found, with what is known of the request's fate by now. */
  error(code: status, details: string, cause?: unknown): TransportError {
    const { address } = this.#channel;
    return new TransportError({
      code,
      details,
      cause,
      address,
      sent: this.#sent,
      method: this.path.slice(1),
    });
  }

  cancelled(): TransportError {
    return this.error(status.CANCELLED, "the caller cancelled it", this.signal?.reason);
  }

  /** Encodes a request and checks it against the limits before any of it is sent. */
  encode<I extends DescMessage>(schema: I, request: MessageInitShape<I>): Buffer {
    const bytes = this.#refusing(`the request is not a ${schema.typeName}`, () =>
      toBinary(schema, create(schema, request)),
    );
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

  /** From now on the caller's signal and the channel's end cancel the grpc call; `over` ends that. */
  running(call: { cancel(): void }): { over(): void } {
    const { running } = this.#channel;
    const cancel = (): void => call.cancel();
    running.add(call);
    this.signal?.addEventListener("abort", cancel, { once: true });
    return {
      over: () => {
        running.delete(call);
        this.signal?.removeEventListener("abort", cancel);
      },
    };
  }

  /** Passes headers and trailers on to the caller, whose own failure must not be taken for the call's. */
  observe(call: EventEmitter): void {
    const { onHeaders, onTrailers } = this.#options;
    if (onHeaders !== undefined) call.on("metadata", (metadata: Metadata) => onHeaders(metadata));
    if (onTrailers !== undefined) call.on("status", ({ metadata }: StatusObject) => onTrailers(metadata));
  }

  #refusing<T>(details: string, work: () => T): T {
    try {
      return work();
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw this.error(status.INVALID_ARGUMENT, `${details}: ${why}`, cause);
    }
  }
}

const NO_METADATA = new Metadata();

function withAuthorization(authorization: string): Metadata {
  const metadata = new Metadata();
  metadata.set(AUTHORIZATION_HEADER, authorization);
  return metadata;
}

function earliestDeadline(channel: Channel, method: DescMethod, options: CallOptions): number {
  const { timeoutMs, deadline, context } = options;
  const given = [
    timeoutMs === undefined ? Infinity : Date.now() + timeoutMs,
    deadline?.getTime() ?? Infinity,
    context?.deadline?.getTime() ?? Infinity,
  ];
  const earliest = Math.min(...given);
  const byDefault = method.methodKind === "unary" ? Date.now() + channel.limits.defaultTimeoutMs : Infinity;
  return earliest === Infinity ? byDefault : earliest;
}

function anySignal(...signals: readonly (AbortSignal | undefined)[]): AbortSignal | undefined {
  const given = signals.filter((signal) => signal !== undefined);
  return given.length > 1 ? AbortSignal.any(given) : given[0];
}

function toMetadata(options: CallOptions): Metadata {
  const metadata = new Metadata({ waitForReady: options.waitForReady ?? false });
  for (const [name, value] of Object.entries(options.metadata ?? {})) {
    metadata.set(name, typeof value === "string" ? value : Buffer.from(value));
  }
  if (options.context !== undefined) metadata.set(CALL_ID_HEADER, options.context.callId);
  return metadata;
}
