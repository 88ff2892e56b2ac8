import { Client, credentials } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { startEcho } from "./testing/echo-server.ts";

describe("reflection", () => {
  it("lists the services where it is asked for", async () => {
    await using echo = await startEcho({ reflection: true });
    const answer = await listServices(echo.address);
    expect(answer).toContain("tandem.rpc.testing.Echo");
    expect(answer).toContain("grpc.health.v1.Health");
  });

  it("is off otherwise", async () => {
    await using echo = await startEcho();
    await expect(listServices(echo.address)).rejects.toThrow("UNIMPLEMENTED");
  });
});

/** Asks as grpcurl does: field 7 of the request, list_services, as bytes. */
async function listServices(address: string): Promise<string> {
  const client = new Client(address, credentials.createInsecure());
  const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  const asIs = (bytes: Buffer): Buffer => bytes;
  const stream = client.makeBidiStreamRequest(path, asIs, asIs);
  try {
    stream.write(Buffer.from([0x3a, 0x01, 0x2a]));
    for await (const answer of stream) return String(answer);
    throw new Error("no answer");
  } finally {
    stream.cancel();
    client.close();
  }
}
