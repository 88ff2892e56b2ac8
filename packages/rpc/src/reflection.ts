import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { Server, ServerDuplexStream, UntypedHandleCall } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";
import { HandlerError } from "./errors/handler-error.ts";
import { toStatus } from "./errors/status-details.ts";

type Call = ServerDuplexStream<unknown, unknown>;

/**
 * Lets tools such as grpcurl ask for the services and their messages. `check` throws what a call of it is
 * refused with; interceptors don't run for it.
 */
export function addReflection(
  server: Server,
  services: readonly DescService[],
  check: (call: Call, method: string) => void,
): void {
  const files = new Map<string, DescFile>();
  for (const service of services) collect(service.file, files);
  const encoded = [...files.values()].map((file) =>
    Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)),
  );
  // A message's definition is how the package takes files in; it indexes everything that they hold.
  const format = "Protocol Buffer 3 DescriptorProto" as const;
  const definition = { tandem: { format, type: {}, fileDescriptorProtos: encoded } };
  const names = services.map((service) => service.typeName);
  new ReflectionService(definition, { services: names }).addToServer({
    addService: (service, handlers) => {
      const checked = Object.entries(service).map(([name, { path }]) => [
        name,
        // The package's handlers are functions of a stream, each under its method's name.
        checking(handlers[name] as (call: Call) => void, (call) => check(call, path.slice(1))),
      ]);
      server.addService(service, Object.fromEntries(checked));
    },
  });
}

function checking(handler: (call: Call) => void, check: (call: Call) => void): UntypedHandleCall {
  return (call: Call) => {
    try {
      check(call);
    } catch (error) {
      if (!(error instanceof HandlerError)) throw error;
      call.emit("error", Object.assign(new Error(error.message), toStatus(error)));
      return;
    }
    handler(call);
  };
}

function collect(file: DescFile, files: Map<string, DescFile>): void {
  if (files.has(file.name)) return;
  for (const dependency of file.dependencies) collect(dependency, files);
  files.set(file.name, file);
}
