import type { DescMessage, DescMethod } from "@bufbuild/protobuf";
import type { EventEmitter } from "node:events";
import {
  type CallOptions as GrpcCallOptions,
  credentials,
  Metadata,
  type ServiceError,
  type StatusObject,
} from "@grpc/grpc-js";
import type { HandlerError } from "../errors/handler-error.ts";
import type { TransportError } from "../errors/transport-error.ts";
import { AUTHORIZATION_HEADER } from "../identity/presented-token.ts";
import { CALL_ID_HEADER } from "../server/handler-context.ts";
import { BegunCall } from "./begun-call.ts";
import type { CallOptions } from "./call-options.ts";
import type { Channel } from "./channel.ts";

/** A method of whatever kind, with the messages that it takes and gives. */
export type MethodOf<I extends DescMessage, O extends DescMessage> = DescMethod & {
  readonly input: I;
  readonly output: O;
};

/** What calls of grpc-js have in common, of all four kinds: where it goes, for how long, and how it can fail. */
export class StartedCall extends BegunCall {
  /** `/tandem.assistant.v1.DbProxy/Transaction` */
  readonly path: string;
  readonly metadata: Metadata;
  readonly grpcOptions: GrpcCallOptions;
  readonly #channel: Channel;
  readonly #options: CallOptions;
  readonly #onPicked: () => void;

  /**
   * Fails with a TransportError where the call need not be sent at all. `onPicked` hears when there is a connection
   * for it; again where it has to be another one.
   */
  constructor(channel: Channel, method: DescMethod, options: CallOptions, onPicked: () => void = () => {}) {
    super(channel, method, options);
    this.#channel = channel;
    this.#options = options;
    this.#onPicked = onPicked;
    this.path = `/${this.method}`;
    this.metadata = this.refusing("the metadata can't be sent", () => toMetadata(options));
    this.grpcOptions = {
      deadline: this.deadline,
      credentials: credentials.createFromMetadataGenerator(this.#picked),
    };
  }

  // grpc-js asks for a call's credentials once it has picked a connection, right before it opens the
  // stream. No earlier public sign tells a request that may be under way from one that can't be.
  readonly #picked = (_: unknown, callback: (error: null, metadata: Metadata) => void): void => {
    this.sent = "maybe";
    const authorization = this.#channel.authorization();
    // What the caller says of this one call goes before what the channel says of all.
    const own = this.metadata.get(AUTHORIZATION_HEADER).length > 0;
    callback(null, authorization === undefined || own ? NO_METADATA : withAuthorization(authorization));
    this.#onPicked();
  };

  /**
   * The class of our own that stands for what grpc-js reports. `peer` is whom the call ended with: the
   * channel's target, not an address, where its last attempt found no connection. An attempt before
   * that was one that the peer's HTTP/2 layer refused unseen: grpc-js makes a second for no other reason.
   */
  fromGrpc(error: ServiceError, peer: string): HandlerError | TransportError {
    if (peer === this.#channel.grpc.getChannel().getTarget()) this.sent = "no";
    return this.fromEnd(error);
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
}

const NO_METADATA = new Metadata();

function withAuthorization(authorization: string): Metadata {
  const metadata = new Metadata();
  metadata.set(AUTHORIZATION_HEADER, authorization);
  return metadata;
}

function toMetadata(options: CallOptions): Metadata {
  const metadata = new Metadata({ waitForReady: options.waitForReady ?? false });
  for (const [name, value] of Object.entries(options.metadata ?? {})) {
    metadata.set(name, typeof value === "string" ? value : Buffer.from(value));
  }
  if (options.context !== undefined) metadata.set(CALL_ID_HEADER, options.context.callId);
  return metadata;
}
