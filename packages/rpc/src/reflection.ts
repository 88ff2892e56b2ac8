import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { Server } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";

/** Lets tools such as grpcurl ask for the services and their messages. Interceptors don't run for it. */
export function addReflection(server: Server, services: readonly DescService[]): void {
  const files = new Map<string, DescFile>();
  for (const service of services) collect(service.file, files);
  const encoded = [...files.values()].map((file) =>
    Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)),
  );
  // A message's definition is how the package takes files in; it indexes everything that they hold.
  const format = "Protocol Buffer 3 DescriptorProto" as const;
  const definition = { tandem: { format, type: {}, fileDescriptorProtos: encoded } };
  const names = services.map((service) => service.typeName);
  new ReflectionService(definition, { services: names }).addToServer(server);
}

function collect(file: DescFile, files: Map<string, DescFile>): void {
  if (files.has(file.name)) return;
  for (const dependency of file.dependencies) collect(dependency, files);
  files.set(file.name, file);
}
