import { Server, ServerCredentials, type UntypedHandleCall } from "@grpc/grpc-js";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

/** What a test listens with, and how to reach and end it. */
export interface RawServer extends AsyncDisposable {
  readonly address: string;
}

/** Accepts connections and does with them what the test says: nothing at all where it says nothing. */
export async function startTcpServer(onConnection: (socket: Socket) => void = () => {}): Promise<RawServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    // The client leaving is how these tests end.
    socket.on("error", () => {});
    onConnection(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: toAddress(server.address()),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** A gRPC server that isn't ours: it answers Echo/One as the test says, in grpc-js's own terms. */
export async function startForeignServer(one: UntypedHandleCall): Promise<RawServer> {
  const server = new Server();
  const method = { path: "/tandem.rpc.testing.Echo/One", requestStream: false, responseStream: false };
  const codec = {
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  server.addService({ one: { ...method, ...codec } }, { one });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return {
    address: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.forceShutdown();
    },
  };
}

/** An address on which nobody listens: the one of a server that has just been closed. */
export async function unusedAddress(): Promise<string> {
  await using server = await startTcpServer();
  return server.address;
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}

function toAddress(address: AddressInfo | string | null): string {
  if (address === null || typeof address === "string") throw new Error("The server has no TCP address.");
  return `127.0.0.1:${address.port}`;
}
