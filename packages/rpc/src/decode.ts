import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";

/**
 * Decodes a message that grpc-js received. Its bytes fields are plain Uint8Arrays, as their type says: from
 * a Buffer, protobuf-es would cut Buffers, which compare and print as something else.
 */
export function decodeMessage<D extends DescMessage>(schema: D, received: Uint8Array): MessageShape<D> {
  return fromBinary(schema, new Uint8Array(received.buffer, received.byteOffset, received.byteLength));
}
