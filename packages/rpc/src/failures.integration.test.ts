import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Metadata, status } from "@grpc/grpc-js";
import { ErrorInfoSchema } from "@tandem/contract/google/rpc/error_details";
import { StatusSchema } from "@tandem/contract/google/rpc/status";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { CallOptions } from "./client/call-options.ts";
import { createChannel } from "./client/channel.ts";
import { createClient } from "./client/client.ts";
import { HandlerError } from "./errors/handler-error.ts";
import { TransportError } from "./errors/transport-error.ts";
import type { RpcLimits } from "./limits.ts";
import { type EchoPairOptions, startEcho } from "./testing/echo-server.ts";
import { Echo, text } from "./testing/echo-service.ts";
import { startForeignServer, startTcpServer, unusedAddress } from "./testing/raw-servers.ts";

interface Failure {
  readonly by: "handler" | "transport";
  readonly code: keyof typeof status;
  readonly reason?: string;
  readonly outcome?: string;
  readonly sent?: string;
}

interface Case {
  readonly name: string;
  readonly provoke: () => Promise<unknown>;
  readonly seen: Failure;
}

const refusal = new HandlerError({ reason: "UNIQUE_VIOLATION", message: "There is one already." });

/** Every way in which a call can fail, and what its caller must be able to tell of it. */
const cases: readonly Case[] = [
  // The handler decided.
  {
    name: "the handler's own error",
    provoke: () => callEcho({ handlers: { one: () => Promise.reject(refusal) } }),
    seen: { by: "handler", code: "ALREADY_EXISTS", reason: "UNIQUE_VIOLATION", outcome: "NOT_COMMITTED" },
  },
  {
    name: "the handler's bug",
    provoke: () => callEcho({ handlers: { one: () => Promise.reject(new TypeError("secret")) } }),
    seen: { by: "handler", code: "INTERNAL", reason: "HANDLER_FAILED", outcome: "UNKNOWN" },
  },
  {
    name: "the handler throws what is no error",
    // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- that is the case
    provoke: () => callEcho({ handlers: { one: () => Promise.reject("secret") } }),
    seen: { by: "handler", code: "INTERNAL", reason: "HANDLER_FAILED", outcome: "UNKNOWN" },
  },
  {
    name: "a peer's failure that the handler lets through",
    provoke: () => callEcho({ handlers: { one: () => callAddress("127.0.0.1:1") as Promise<never> } }),
    seen: { by: "handler", code: "INTERNAL", reason: "HANDLER_FAILED", outcome: "UNKNOWN" },
  },
  {
    name: "an interceptor's error",
    provoke: () =>
      callEcho({
        interceptors: [
          () => Promise.reject(new HandlerError({ reason: "METHOD_NOT_ALLOWED", message: "No." })),
        ],
      }),
    seen: {
      by: "handler",
      code: "PERMISSION_DENIED",
      reason: "METHOD_NOT_ALLOWED",
      outcome: "NOT_COMMITTED",
    },
  },
  {
    name: "a request over the server's limit",
    provoke: () => callEcho({ limits: { maxRequestBytes: 100 }, clientLimits: {} }, {}, 150),
    seen: { by: "handler", code: "INVALID_ARGUMENT", reason: "REQUEST_TOO_LARGE", outcome: "NOT_COMMITTED" },
  },
  {
    name: "a response over the server's limit",
    provoke: () =>
      callEcho({
        limits: { maxResponseBytes: 100 },
        handlers: { one: () => ({ value: Buffer.alloc(150) }) },
      }),
    seen: { by: "handler", code: "FAILED_PRECONDITION", reason: "RESULT_TOO_LARGE", outcome: "UNKNOWN" },
  },
  {
    name: "more details than a header takes",
    provoke: () => callEcho({ handlers: { one: () => Promise.reject(withManyFields()) } }),
    seen: { by: "handler", code: "INVALID_ARGUMENT", reason: "INVALID_REQUEST", outcome: "NOT_COMMITTED" },
  },
  {
    name: "a call while the server drains",
    provoke: callDuringDrain,
    seen: { by: "handler", code: "UNAVAILABLE", reason: "DRAINING", outcome: "NOT_COMMITTED" },
  },

  // Nobody's handler said so, and nothing was sent.
  {
    name: "a peer that is stopped",
    provoke: async () => callAddress(await unusedAddress()),
    seen: { by: "transport", code: "UNAVAILABLE", sent: "no" },
  },
  {
    name: "a host name that doesn't exist",
    provoke: () => callAddress("nowhere.invalid:7402"),
    seen: { by: "transport", code: "UNAVAILABLE", sent: "no" },
  },
  {
    name: "an address that isn't one",
    provoke: () => callAddress("127.0.0.1:99999"),
    seen: { by: "transport", code: "UNAVAILABLE", sent: "no" },
  },
  {
    name: "a peer that accepts and never speaks HTTP/2",
    provoke: async () => {
      await using mute = await startTcpServer();
      await callAddress(mute.address, { timeoutMs: 300 });
    },
    seen: { by: "transport", code: "DEADLINE_EXCEEDED", sent: "no" },
  },
  {
    name: "a peer that speaks HTTP/1",
    provoke: async () => {
      const answer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
      await using old = await startTcpServer((socket) => socket.end(answer));
      await callAddress(old.address);
    },
    seen: { by: "transport", code: "UNAVAILABLE", sent: "no" },
  },
  {
    name: "a deadline that had passed before the call",
    provoke: () => callEcho({}, { timeoutMs: 0 }),
    seen: { by: "transport", code: "DEADLINE_EXCEEDED", sent: "no" },
  },
  {
    name: "a call cancelled before it was made",
    provoke: () => callEcho({}, { signal: AbortSignal.abort() }),
    seen: { by: "transport", code: "CANCELLED", sent: "no" },
  },
  {
    name: "a request over the client's limit",
    provoke: () => callEcho({ clientLimits: { maxRequestBytes: 100 } }, {}, 150),
    seen: { by: "transport", code: "RESOURCE_EXHAUSTED", sent: "no" },
  },
  {
    name: "a channel that was closed",
    provoke: async () => {
      await using echo = await startEcho();
      echo.channel.close();
      await echo.client.one(text("x"));
    },
    seen: { by: "transport", code: "UNAVAILABLE", sent: "no" },
  },

  // Nobody's handler said so, and the request can have arrived.
  {
    name: "a peer killed during the call",
    provoke: () => callKilledProcess(),
    seen: { by: "transport", code: "UNAVAILABLE", sent: "maybe" },
  },
  {
    name: "a deadline that passes while the handler runs",
    provoke: () => callEcho({ handlers: { one: hang } }, { timeoutMs: 200 }),
    seen: { by: "transport", code: "DEADLINE_EXCEEDED", sent: "maybe" },
  },
  {
    name: "a call cancelled while the handler runs",
    provoke: async () => {
      const caller = new AbortController();
      const one = (): Promise<never> => {
        caller.abort();
        return hang();
      };
      await callEcho({ handlers: { one } }, { signal: caller.signal });
    },
    seen: { by: "transport", code: "CANCELLED", sent: "maybe" },
  },
  {
    name: "a method that the server doesn't have",
    provoke: async () => {
      await using server = await startForeignServer(() => {});
      const client = createClient(Echo, openChannel(server.address));
      await client.up(nothing());
    },
    seen: { by: "transport", code: "UNIMPLEMENTED", sent: "maybe" },
  },
  {
    name: "a request that grpc itself refuses for its size",
    provoke: () => callEcho({ limits: { maxRequestBytes: 100 }, clientLimits: {} }, {}, 1000),
    seen: { by: "transport", code: "RESOURCE_EXHAUSTED", sent: "maybe" },
  },
  {
    name: "a response that the client's grpc refuses for its size",
    provoke: () =>
      callEcho({
        clientLimits: { maxResponseBytes: 100 },
        handlers: { one: () => ({ value: Buffer.alloc(1000) }) },
      }),
    seen: { by: "transport", code: "RESOURCE_EXHAUSTED", sent: "maybe" },
  },
  ...(["UNAVAILABLE", "INTERNAL", "RESOURCE_EXHAUSTED", "ABORTED", "FAILED_PRECONDITION"] as const).map(
    (code): Case => ({
      name: `a bare ${code} that a proxy could have made`,
      provoke: () => callForeign({ code: status[code], details: "not by a handler of ours" }),
      seen: { by: "transport", code, sent: "maybe" },
    }),
  ),
  {
    name: "details of somebody else's domain",
    provoke: () => callForeign({ code: status.ABORTED, details: "no", metadata: withDomain("example.com") }),
    seen: { by: "transport", code: "ABORTED", sent: "maybe" },
  },
  {
    name: "details that can't be read",
    provoke: () => {
      const metadata = new Metadata();
      metadata.set("grpc-status-details-bin", Buffer.from([0xff, 0xff, 0xff]));
      return callForeign({ code: status.ABORTED, details: "no", metadata });
    },
    seen: { by: "transport", code: "ABORTED", sent: "maybe" },
  },
  {
    name: "an answer that isn't the message it should be",
    provoke: async () => {
      await using server = await startForeignServer((_: unknown, answer: Answer) =>
        answer(null, Buffer.from([0xff])),
      );
      await callAddress(server.address);
    },
    seen: { by: "transport", code: "INTERNAL", sent: "maybe" },
  },
];

describe("a failed call tells whether a handler decided or the transport failed", () => {
  it.each(cases)("$name", async ({ provoke, seen }) => {
    expect(await failureOf(provoke())).toEqual(seen);
  });
});

async function failureOf(call: Promise<unknown>): Promise<unknown> {
  try {
    return { resolved: await call };
  } catch (error) {
    if (error instanceof HandlerError) {
      const { reason, outcome, message } = error;
      expect(message).not.toContain("secret");
      return { by: "handler", code: status[error.code], reason, outcome };
    }
    if (error instanceof TransportError)
      return { by: "transport", code: status[error.code], sent: error.sent };
    return error;
  }
}

type Answer = (error: object | null, response?: Buffer) => void;

async function callEcho(pair: EchoPairOptions, options: CallOptions = {}, bytes = 1): Promise<unknown> {
  await using echo = await startEcho(pair);
  return await echo.client.one({ value: Buffer.alloc(bytes) }, options);
}

async function callAddress(address: string, options: CallOptions = {}): Promise<unknown> {
  const channel = openChannel(address);
  try {
    return await createClient(Echo, channel).one(text("x"), { timeoutMs: 5_000, ...options });
  } finally {
    channel.close();
  }
}

async function callForeign(answer: object): Promise<unknown> {
  await using server = await startForeignServer((_: unknown, callback: Answer) => callback(answer));
  return await callAddress(server.address);
}

async function callDuringDrain(): Promise<unknown> {
  const called = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const one = async (): Promise<object> => {
    called.resolve();
    await release.promise;
    return {};
  };
  // An interceptor that is slow enough for the drain to begin before the handler does.
  await using echo = await startEcho({ handlers: { one } });
  const first = echo.client.one(text("first"));
  await called.promise;
  const second = echo.client.one(text("second"), { timeoutMs: 5_000 });
  const drained = echo.server.drain({ timeoutMs: 5_000 });
  try {
    return await second;
  } finally {
    release.resolve();
    await first;
    await drained;
  }
}

async function callKilledProcess(): Promise<unknown> {
  const script = fileURLToPath(new URL("testing/echo-process.ts", import.meta.url));
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

function openChannel(address: string, limits: Partial<RpcLimits> = {}): ReturnType<typeof createChannel> {
  return createChannel({ address, limits });
}

async function hang(): Promise<never> {
  await delay(60_000, undefined, { ref: false });
  throw new Error("This was not to be waited for.");
}

async function* nothing(): AsyncGenerator<never> {}

function withManyFields(): HandlerError {
  const fields = Array.from({ length: 5_000 }, (_, index) => ({
    field: `steps[${index}].params[0]`,
    description: "It can't be a number: use a text.",
  }));
  return new HandlerError({ reason: "INVALID_REQUEST", message: "Much is wrong. ".repeat(10_000), fields });
}

function withDomain(domain: string): Metadata {
  const info = anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { domain, reason: "UNIQUE_VIOLATION" }));
  const metadata = new Metadata();
  metadata.set(
    "grpc-status-details-bin",
    Buffer.from(toBinary(StatusSchema, create(StatusSchema, { details: [info] }))),
  );
  return metadata;
}
