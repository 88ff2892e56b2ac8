import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { createLogger, createTimeSlices } from "@tandem/rpc";
import { expect, it } from "vitest";
import { createConnections } from "./connections.ts";
import { defaultDbProxyLimits } from "./limits.ts";

const logger = createLogger({ service: "assistant", level: "silent" });

/** A message of PostgreSQL's: its type, its length, its content. */
function message(type: string, content: string | Buffer): Buffer {
  const body = Buffer.from(content);
  const length = Buffer.alloc(4);
  length.writeInt32BE(4 + body.length);
  return Buffer.concat([Buffer.from(type), length, body]);
}

const ready = [message("R", Buffer.alloc(4)), message("K", Buffer.alloc(8)), message("Z", "I")];
const fatal = message("E", "SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0");

// PostgreSQL writes both in one packet when it is stopped while a connection comes up. Had anybody to listen
// for an error at that moment, and didn't, this process would end.
it("survives a server that ends a connection in the very packet that opens it", async () => {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => socket.end(Buffer.concat([...ready, fatal])));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const url = `postgresql://role:password@127.0.0.1:${port}/database`;
  const slices = createTimeSlices();
  const connections = createConnections({ url, limits: defaultDbProxyLimits, slices, logger });
  const signal = new AbortController().signal;
  for (let time = 0; time < 5; time += 1) {
    const call = connections.withConnection(signal, (borrowed) =>
      borrowed.runAll([{ text: "SELECT 1", values: [] }]),
    );
    await expect(call).rejects.toThrow();
  }
  await connections.close();
  server.close();
});
