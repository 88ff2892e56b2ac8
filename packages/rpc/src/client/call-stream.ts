import type { DescMethod } from "@bufbuild/protobuf";
import { type ClientDuplexStream, type ServiceError, status, type StatusObject } from "@grpc/grpc-js";
import type { ClientHttp2Stream } from "node:http2";
import type { Sent } from "../errors/transport-error.ts";
import type { Channel } from "./channel.ts";
import { StartedCall } from "./started-call.ts";
import { asIs } from "./unary-call.ts";

/** What becomes of a stream of messages. None of these may throw. */
export interface CallStreamListener {
  /** There is a connection for it: what is written from here on can arrive. Again where it has to be another one. */
  onConnected(): void;
  /** The other side has taken it. `peer` is the address that it listens at. */
  onTaken(peer: string): void;
  onMessage(message: Buffer): void;
  /** The last. */
  onEnd(end: CallStreamEnd): void;
}

/** How a stream of messages ended. */
export interface CallStreamEnd {
  /** Of `fromEnd` of whatever call it carried. Its code is OK where the other side ended it of its own accord. */
  readonly error: ServiceError;
  /** Whether anything that was written can have arrived. */
  readonly sent: Sent;
  /** Whether the other side took it. What it has not taken it has not read. */
  readonly taken: boolean;
}

/** A call that streams both ways, with messages that are encoded and decoded elsewhere: for many small ones. */
export interface CallStream {
  /** One at a time: the next one when `done` was called, and none before `onConnected` or after the end. */
  write(message: Buffer, done: () => void): void;
  /** Writes no more; the other side may still answer. */
  end(): void;
  cancel(): void;
  /** Lets the process end although the stream is open: nobody waits for anything on it. */
  unref(): void;
}

/** Opens a stream, without a deadline of its own. Fails with a TransportError where the channel is closed. */
export function openCallStream(
  channel: Channel,
  method: DescMethod,
  listener: CallStreamListener,
): CallStream {
  const call = new StartedCall(channel, method, {}, () => listener.onConnected());
  const stream = open(channel, call);
  const running = call.running(stream);
  let taken = false;
  let released = false;
  const onEnd = (error: ServiceError): void => {
    running.over();
    // As with a unary call: an end without a peer is that of an attempt which found no connection.
    const unsent = stream.getPeer() === channel.grpc.getChannel().getTarget();
    listener.onEnd({ error, taken, sent: unsent ? "no" : call.sent });
  };
  stream.on("metadata", () => {
    taken = true;
    listener.onTaken(stream.getPeer());
  });
  stream.on("data", (message: Buffer) => listener.onMessage(message));
  stream.on("error", (error: ServiceError) => onEnd(error));
  stream.on("status", (end: StatusObject) => {
    if (end.code === status.OK) onEnd(Object.assign(new Error("The other side ended the stream."), end));
  });
  return {
    write: (message, done) => void stream.write(message, done),
    end: () => void stream.end(),
    cancel: () => stream.cancel(),
    unref: () => {
      if (released) return;
      const session = http2StreamOf(stream)?.session;
      released = session !== undefined;
      session?.unref();
    },
  };
}

function open(channel: Channel, call: StartedCall): ClientDuplexStream<Buffer, Buffer> {
  try {
    const { path, metadata, grpcOptions } = call;
    return channel.grpc.makeBidiStreamRequest(path, asIs, asIs, metadata, grpcOptions);
  } catch (cause) {
    // grpc-js throws where the channel was closed.
    throw call.error(status.UNAVAILABLE, "the channel is closed", cause);
  }
}

/**
 * What grpc-js keeps to itself of a stream: the calls inside it, each of which has a part of the work. It keeps the
 * process alive for as long as a stream is open, and offers no way to say otherwise. A test of this file notices where
 * a version has it elsewhere.
 */
interface Internals {
  readonly call?: {
    readonly call?: {
      readonly child?: {
        readonly underlyingCalls?: readonly {
          readonly call?: { readonly child?: { readonly http2Stream?: ClientHttp2Stream } | null };
        }[];
      } | null;
    };
  };
}

function http2StreamOf(stream: ClientDuplexStream<Buffer, Buffer>): ClientHttp2Stream | undefined {
  const { call } = stream as Internals;
  return call?.call?.child?.underlyingCalls?.at(-1)?.call?.child?.http2Stream;
}
