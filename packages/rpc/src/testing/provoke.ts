// Each of these provokes one kind of failure, over real sockets, for the table of failures.
import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Metadata } from "@grpc/grpc-js";
import { ErrorInfoSchema } from "@tandem/contract/google/rpc/error_details";
import { StatusSchema } from "@tandem/contract/google/rpc/status";
import { createTcpRelay } from "@tandem/testkit";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { CallOptions } from "../client/call-options.ts";
import { createChannel } from "../client/channel.ts";
import { createClient } from "../client/client.ts";
import { HandlerError } from "../errors/handler-error.ts";
import type { RpcLimits } from "../limits.ts";
import type { HandlerContext } from "../server/handler-context.ts";
import { type EchoPairOptions, startEcho } from "./echo-server.ts";
import { Echo, text } from "./echo-service.ts";
import { holdHandler } from "./held-handler.ts";
import { startForeignServer } from "./raw-servers.ts";

export type Answer = (error: object | null, response?: Buffer) => void;

export async function callEcho(
  pair: EchoPairOptions,
  options: CallOptions = {},
  bytes = 1,
): Promise<unknown> {
  await using echo = await startEcho(pair);
  return await echo.client.one({ value: Buffer.alloc(bytes) }, options);
}

export async function callAddress(address: string, options: CallOptions = {}): Promise<unknown> {
  const channel = openChannel(address);
  try {
    return await createClient(Echo, channel).one(text("x"), { timeoutMs: 5_000, ...options });
  } finally {
    channel.close();
  }
}

export async function callForeign(answer: object): Promise<unknown> {
  await using server = await startForeignServer((_: unknown, callback: Answer) => callback(answer));
  return await callAddress(server.address);
}

export async function callDuringDrain(): Promise<unknown> {
  const { one, called, release } = holdHandler();
  await using echo = await startEcho({ handlers: { one } });
  const first = echo.client.one(text("first"));
  await called;
  const drained = echo.server.drain({ timeoutMs: 5_000 });
  try {
    return await echo.client.one(text("second"), { timeoutMs: 5_000 });
  } finally {
    release();
    await first;
    await drained;
  }
}

export async function callWithMessages(...sizes: readonly number[]): Promise<unknown> {
  await using echo = await startEcho({ limits: { maxRequestBytes: 100 }, clientLimits: {} });
  const requests = sizes.map((size) => ({ value: Buffer.alloc(size) }));
  return await Array.fromAsync(
    echo.client.both(
      (async function* () {
        yield* requests;
      })(),
    ),
  );
}

export async function callUntilForced(): Promise<unknown> {
  const called = Promise.withResolvers<void>();
  const one = async (_: object, context: HandlerContext): Promise<object> => {
    called.resolve();
    await once(context.signal, "abort");
    throw context.signal.reason;
  };
  await using echo = await startEcho({ handlers: { one } });
  const call = echo.client.one(text("x"));
  call.catch(() => undefined);
  await called.promise;
  await echo.server.drain({ timeoutMs: 50 });
  return await call;
}

export async function callWithLateAnswer(): Promise<unknown> {
  await using echo = await startEcho();
  const [host = "", port] = echo.address.split(":");
  const relay = await createTcpRelay({ target: { host, port: Number(port) } });
  try {
    const channel = openChannel(relay.address);
    const client = createClient(Echo, channel);
    await client.one(text("to connect"), { timeoutMs: 5_000 });
    relay.stall({ direction: "toClient" });
    const failed = client.one(text("x"), { timeoutMs: 300 });
    return await failed.finally(() => channel.close());
  } finally {
    await relay.close();
  }
}

export async function callKilledProcess(): Promise<unknown> {
  const script = fileURLToPath(new URL("echo-process.ts", import.meta.url));
  const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const [address] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
  child.stdout.once("data", () => child.kill("SIGKILL"));
  const channel = openChannel(address.trim());
  try {
    return await createClient(Echo, channel).one(text("hang"), { timeoutMs: 10_000 });
  } finally {
    child.kill("SIGKILL");
    await exited;
    channel.close();
  }
}

export function openChannel(
  address: string,
  limits: Partial<RpcLimits> = {},
): ReturnType<typeof createChannel> {
  return createChannel({ address, limits, allowPlaintext: true });
}

export async function hang(): Promise<never> {
  await delay(60_000, undefined, { ref: false });
  throw new Error("This was not to be waited for.");
}

export async function* nothing(): AsyncGenerator<never> {}

export function withManyFields(): HandlerError {
  const fields = Array.from({ length: 5_000 }, (_, index) => ({
    field: `steps[${index}].params[0]`,
    description: "It can't be a number: use a text.",
  }));
  return new HandlerError({ reason: "INVALID_REQUEST", message: "Much is wrong. ".repeat(10_000), fields });
}

export function withDomain(domain: string): Metadata {
  const info = anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { domain, reason: "UNIQUE_VIOLATION" }));
  const metadata = new Metadata();
  metadata.set(
    "grpc-status-details-bin",
    Buffer.from(toBinary(StatusSchema, create(StatusSchema, { details: [info] }))),
  );
  return metadata;
}
