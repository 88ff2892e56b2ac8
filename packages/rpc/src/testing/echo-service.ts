import { create, createFileRegistry } from "@bufbuild/protobuf";
import type { GenService } from "@bufbuild/protobuf/codegenv2";
import {
  type BytesValueSchema,
  file_google_protobuf_wrappers,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";

type Bytes = typeof BytesValueSchema;

/** A service with a method of each kind, made of well-known messages, for this package's own tests. */
export type EchoService = GenService<{
  one: { methodKind: "unary"; input: Bytes; output: Bytes };
  down: { methodKind: "server_streaming"; input: Bytes; output: Bytes };
  up: { methodKind: "client_streaming"; input: Bytes; output: Bytes };
  both: { methodKind: "bidi_streaming"; input: Bytes; output: Bytes };
}>;

export const Echo: EchoService = describeEcho();

/** The messages hold bytes; tests speak in texts. */
export function text(value: string): { value: Uint8Array } {
  return { value: Buffer.from(value) };
}

export function toText(message: { readonly value: Uint8Array }): string {
  return Buffer.from(message.value).toString();
}

function describeEcho(): EchoService {
  const type = ".google.protobuf.BytesValue";
  const method = (name: string, clientStreaming: boolean, serverStreaming: boolean): object => ({
    name,
    inputType: type,
    outputType: type,
    clientStreaming,
    serverStreaming,
  });
  const file = create(FileDescriptorProtoSchema, {
    name: "tandem/rpc/testing/echo.proto",
    package: "tandem.rpc.testing",
    syntax: "proto3",
    dependency: [file_google_protobuf_wrappers.proto.name],
    service: [
      {
        name: "Echo",
        method: [
          method("One", false, false),
          method("Down", false, true),
          method("Up", true, false),
          method("Both", true, true),
        ],
      },
    ],
  });
  const set = create(FileDescriptorSetSchema, { file: [file_google_protobuf_wrappers.proto, file] });
  const service = createFileRegistry(set).getService("tandem.rpc.testing.Echo");
  if (service === undefined) throw new Error("The test's own service is not in its own file.");
  // A registry knows no types; this is the service described above.
  return service as EchoService;
}
