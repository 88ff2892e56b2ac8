import {
  create,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type ClientUnaryCall, type ServiceError, status } from "@grpc/grpc-js";
import type { CallOptions } from "./call-options.ts";
import type { Channel } from "./channel.ts";
import { type MethodOf, StartedCall } from "./started-call.ts";

/** One request, one response. Rejects with a HandlerError or a TransportError, and with nothing else. */
export function callUnary<I extends DescMessage, O extends DescMessage>(
  channel: Channel,
  method: MethodOf<I, O>,
  request: MessageInitShape<I>,
  options: CallOptions = {},
): Promise<MessageShape<O>> {
  return callEncoded(channel, method, () => toBinary(method.input, create(method.input, request)), options);
}

/** The same of a request that the caller encodes. What `encode` fails with says why the request is no such message. */
export async function callEncoded<I extends DescMessage, O extends DescMessage>(
  channel: Channel,
  method: MethodOf<I, O>,
  encode: () => Uint8Array,
  options: CallOptions = {},
): Promise<MessageShape<O>> {
  const call = new StartedCall(channel, method, options);
  const bytes = call.encodeBy(method.input, encode);
  return new Promise((resolve, reject) => {
    let grpcCall: ClientUnaryCall | undefined;
    let running: { over(): void } | undefined;
    const done = (error: ServiceError | null, response: Buffer | undefined): void => {
      running?.over();
      if (error !== null) return reject(call.fromGrpc(error, grpcCall?.getPeer() ?? ""));
      if (response === undefined) return reject(call.error(status.INTERNAL, "the answer has no message"));
      try {
        resolve(call.decode(method.output, response));
      } catch (malformed) {
        reject(malformed);
      }
    };
    try {
      const { path, metadata, grpcOptions } = call;
      grpcCall = channel.grpc.makeUnaryRequest(path, asIs, asIs, bytes, metadata, grpcOptions, done);
      running = call.running(grpcCall);
      call.observe(grpcCall);
    } catch (cause) {
      // grpc-js throws where the channel was closed.
      reject(call.error(status.UNAVAILABLE, "the channel is closed", cause));
    }
  });
}

/** Messages are encoded and decoded here, not inside grpc-js, so that a failure has a name of ours. */
export const asIs = (bytes: Buffer): Buffer => bytes;
