import { Metadata, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { createClient } from "./client/client.ts";
import { HandlerError } from "./errors/handler-error.ts";
import { TransportError } from "./errors/transport-error.ts";
import { startEcho } from "./testing/echo-server.ts";
import { Echo, text } from "./testing/echo-service.ts";
import {
  type Answer,
  callAddress,
  callDuringDrain,
  callEcho,
  callForeign,
  callKilledProcess,
  callUntilForced,
  callWithLateAnswer,
  callWithMessages,
  hang,
  nothing,
  openChannel,
  withDomain,
  withManyFields,
} from "./testing/provoke.ts";
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

const unencodable = new HandlerError({
  reason: "OVERLOADED",
  message: "Later.",
  step: 1.5,
  retryAfterMs: 0.3,
});
const longNamed = new HandlerError({
  reason: "RAISED",
  message: "No.",
  database: { sqlstate: "P0001", constraint: "x".repeat(100_000) },
});

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
    name: "a peer's refusal that the handler lets through as if it were its own",
    provoke: async () => {
      await using peer = await startEcho({ handlers: { one: () => Promise.reject(refusal) } });
      await callEcho({ handlers: { one: (request) => peer.client.one(request) } });
    },
    seen: { by: "handler", code: "INTERNAL", reason: "HANDLER_FAILED", outcome: "UNKNOWN" },
  },
  {
    name: "an error of the handler's with numbers that protobuf can't hold",
    provoke: () => callEcho({ handlers: { one: () => Promise.reject(unencodable) } }),
    seen: { by: "handler", code: "INTERNAL", reason: "HANDLER_FAILED", outcome: "UNKNOWN" },
  },
  {
    name: "an error of the handler's with names of any length",
    provoke: () => callEcho({ handlers: { one: () => Promise.reject(longNamed) } }),
    seen: { by: "handler", code: "FAILED_PRECONDITION", reason: "RAISED", outcome: "NOT_COMMITTED" },
  },
  {
    name: "a bad message late in a stream, whose earlier ones may have had effects",
    provoke: () => callWithMessages(1, 1, 150),
    seen: { by: "handler", code: "INVALID_ARGUMENT", reason: "REQUEST_TOO_LARGE", outcome: "UNKNOWN" },
  },
  {
    name: "a drain that ends by force, of which nobody knows how far the handler came",
    provoke: callUntilForced,
    seen: { by: "handler", code: "UNAVAILABLE", reason: "DRAINING", outcome: "UNKNOWN" },
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
    name: "a request of more fields than the server takes",
    provoke: () => callEcho({ limits: { maxRequestFields: 0 }, clientLimits: {} }),
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

  // Nobody's handler said so, and nothing was sent.
  {
    name: "a call to a server that drains",
    provoke: callDuringDrain,
    seen: { by: "transport", code: "UNAVAILABLE", sent: "no" },
  },
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
    name: "a request of more fields than the client's limit",
    provoke: () => callEcho({ clientLimits: { maxRequestFields: 0 } }),
    seen: { by: "transport", code: "RESOURCE_EXHAUSTED", sent: "no" },
  },
  {
    name: "a request that can't be encoded",
    provoke: async () => {
      await using echo = await startEcho();
      await echo.client.one({ value: "no bytes" as unknown as Uint8Array });
    },
    seen: { by: "transport", code: "INVALID_ARGUMENT", sent: "no" },
  },
  {
    name: "metadata that can't be sent",
    provoke: () => callEcho({}, { metadata: { "no good name": "x" } }),
    seen: { by: "transport", code: "INVALID_ARGUMENT", sent: "no" },
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
    name: "a deadline that passes after the handler, on the way back",
    provoke: callWithLateAnswer,
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
