import { status } from "@grpc/grpc-js";
import { createTcpRelay, waitFor } from "@tandem/testkit";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { createChannel } from "./client/channel.ts";
import { createClient } from "./client/client.ts";
import { HandlerError } from "./errors/handler-error.ts";
import type { RpcLimits } from "./limits.ts";
import type { HandlerContext } from "./server/handler-context.ts";
import { startEcho } from "./testing/echo-server.ts";
import { Echo, text, toText } from "./testing/echo-service.ts";

describe("a call", () => {
  it("tells the handler when its caller stops waiting", async () => {
    let deadline: Date | undefined;
    await using echo = await startEcho({
      handlers: {
        one: (request, context) => {
          deadline = context.deadline;
          return request;
        },
      },
    });
    const before = Date.now();
    await echo.client.one(text("x"), { timeoutMs: 3_000 });
    expect(deadline?.getTime()).toBeGreaterThan(before + 2_500);
    expect(deadline?.getTime()).toBeLessThan(before + 3_500);
  });

  it("has a deadline also where the caller names none", async () => {
    const seen = Promise.withResolvers<Date | undefined>();
    await using echo = await startEcho({
      clientLimits: { defaultTimeoutMs: 2_000 },
      handlers: {
        one: (request, context) => {
          seen.resolve(context.deadline);
          return request;
        },
      },
    });
    await echo.client.one(text("x"));
    expect((await seen.promise)?.getTime()).toBeLessThan(Date.now() + 2_500);
  });

  it.each([
    { how: "cancels it", options: (caller: AbortController) => ({ signal: caller.signal }) },
    { how: "reaches its deadline", options: () => ({ timeoutMs: 200 }) },
  ])("aborts the handler's signal when the caller $how", async ({ options }) => {
    const caller = new AbortController();
    const aborted = Promise.withResolvers<void>();
    await using echo = await startEcho({
      handlers: {
        one: async (request, context) => {
          queueMicrotask(() => caller.abort());
          await once(context.signal, "abort");
          aborted.resolve();
          return request;
        },
      },
    });
    await expect(echo.client.one(text("x"), options(caller))).rejects.toMatchObject({ sent: "maybe" });
    await aborted.promise;
  });

  it("aborts the handler's signal when the caller's connection breaks", async () => {
    const handler = waitingHandler();
    await using echo = await startEcho({ handlers: { one: handler.one } });
    await using link = await relayTo(echo.address);
    const call = link.client.one(text("x"));
    call.catch(() => {});
    await handler.called;
    link.relay.cut();
    await handler.aborted;
    await expect(call).rejects.toMatchObject({ code: status.UNAVAILABLE, sent: "maybe" });
  });

  it("ends when its channel is closed, here and in the handler", async () => {
    const handler = waitingHandler();
    await using echo = await startEcho({ handlers: { one: handler.one } });
    const call = echo.client.one(text("x"));
    call.catch(() => {});
    await handler.called;
    echo.channel.close();
    await expect(call).rejects.toMatchObject({ code: status.UNAVAILABLE, sent: "maybe" });
    await handler.aborted;
  });

  it("does not abort the signal of a handler that has answered", async () => {
    let signal: AbortSignal | undefined;
    await using echo = await startEcho({
      handlers: {
        one: (request, context) => {
          signal = context.signal;
          return request;
        },
      },
    });
    await echo.client.one(text("x"));
    await echo.client.one(text("y"));
    expect(signal?.aborted).toBe(false);
  });

  it("goes on, however many others on the same connection are given up", async () => {
    const release = Promise.withResolvers<void>();
    await using echo = await startEcho({
      handlers: {
        one: async (request, { signal }) => {
          await (toText(request) === "stays" ? release.promise : once(signal, "abort"));
          return request;
        },
      },
    });
    const staying = echo.client.one(text("stays"));
    for (let batch = 0; batch < 15; batch += 1) {
      const leaving = Array.from({ length: 100 }, () => echo.client.one(text("leaves"), { timeoutMs: 50 }));
      await Promise.allSettled(leaving);
    }
    release.resolve();
    expect(toText(await staying)).toBe("stays");
  });

  it("hands a handler's deadline, cancellation and call id on to the calls it makes", async () => {
    const inner = Promise.withResolvers<HandlerContext>();
    await using back = await startEcho({
      handlers: {
        one: async (request, context) => {
          inner.resolve(context);
          await once(context.signal, "abort");
          return request;
        },
      },
    });
    const outer = Promise.withResolvers<HandlerContext>();
    await using front = await startEcho({
      handlers: {
        one: (request, context) => {
          outer.resolve(context);
          return back.client.one(request, { context });
        },
      },
    });
    const caller = new AbortController();
    const call = front.client.one(text("x"), { signal: caller.signal, timeoutMs: 4_000 });
    call.catch(() => {});
    const [outside, inside] = await Promise.all([outer.promise, inner.promise]);
    expect(inside.callId).toBe(outside.callId);
    const gap = (outside.deadline?.getTime() ?? 0) - (inside.deadline?.getTime() ?? NaN);
    expect(Math.abs(gap)).toBeLessThan(500);
    caller.abort();
    await once(inside.signal, "abort");
    await expect(call).rejects.toMatchObject({ name: "TransportError" });
  });

  it("carries metadata there, and headers and trailers back", async () => {
    await using echo = await startEcho({
      handlers: {
        one: (_, context) => {
          context.responseHeaders.set("x-header", "h");
          context.responseTrailers.set("x-trailer", "t");
          const bytes = context.metadata.get("x-bytes-bin")[0];
          return text(
            `${String(context.metadata.get("x-text")[0])} ${Buffer.from(bytes ?? "").toString("hex")}`,
          );
        },
      },
    });
    const seen: unknown[] = [];
    const response = await echo.client.one(text("x"), {
      metadata: { "x-text": "hello", "x-bytes-bin": Uint8Array.of(0, 255) },
      onHeaders: (metadata) => seen.push(...metadata.get("x-header")),
      onTrailers: (metadata) => seen.push(...metadata.get("x-trailer")),
    });
    expect(toText(response)).toBe("hello 00ff");
    expect(seen).toEqual(["h", "t"]);
  });

  it("waits for a peer that isn't there yet where it is told to", async () => {
    const { server, address } = await startEcho();
    await server.drain();
    const channel = createChannel({ address, limits: { minReconnectMs: 20, maxReconnectMs: 50 } });
    const call = createClient(Echo, channel).one(text("early"), { waitForReady: true, timeoutMs: 10_000 });
    await using late = await startEcho({ address });
    expect(toText(await call)).toBe("early");
    expect(late.address).toBe(address);
    channel.close();
  });
});

describe("a failing handler", () => {
  it("says nothing of an unknown error on the wire and everything in the log, under the call's id", async () => {
    const bug = new TypeError("password=hunter2", { cause: new Error("the root") });
    await using echo = await startEcho({ handlers: { one: () => Promise.reject(bug) } });
    const error = await echo.client.one(text("x")).catch((caught: unknown) => caught);
    expect(String(error)).not.toContain("hunter2");
    const line = echo.log.find(({ level }) => level === "error");
    expect(line).toMatchObject({ method: "tandem.rpc.testing.Echo/One", reason: "HANDLER_FAILED" });
    expect(JSON.stringify(line)).toContain("hunter2");
    expect(JSON.stringify(line)).toContain("the root");
    expect(line?.["callId"]).toMatch(/^[\da-f-]{36}$/);
  });

  it("crosses the wire with every field that it was given, but for its cause", async () => {
    const thrown = new HandlerError({
      reason: "GUARD_UNMET",
      message: "Step 3 changed 0 rows — „genau eine“ was asked for.",
      step: 3,
      database: { sqlstate: "23505", schema: "public", table: "t", column: "c", constraint: "t_c_key" },
      guard: { actualChanges: 0n, minChanges: 1n, maxChanges: 2n ** 62n },
      fields: [{ field: "steps[3]", description: "unmet" }],
      retryAfterMs: 1_500,
      outcome: "UNKNOWN",
      cause: new Error("not for the caller"),
    });
    await using echo = await startEcho({ handlers: { one: () => Promise.reject(thrown) } });
    const caught = await echo.client.one(text("x")).catch((error: unknown) => error);
    expect(caught).toBeInstanceOf(HandlerError);
    const { code, reason, message, step, database, guard, fields, retryAfterMs, outcome, retryable } = thrown;
    expect(caught).toMatchObject({
      code,
      reason,
      message,
      step,
      database,
      guard,
      fields,
      retryAfterMs,
      outcome,
      retryable,
    });
    expect(caught).toMatchObject({ method: "tandem.rpc.testing.Echo/One" });
    expect(caught).not.toHaveProperty("cause");
  });

  it("replaces a call id that could forge a line of the log", async () => {
    let callId = "";
    await using echo = await startEcho({
      handlers: {
        one: (request, context) => {
          callId = context.callId;
          return request;
        },
      },
    });
    await echo.client.one(text("x"), { metadata: { "tandem-call-id": 'a","level":"fatal' } });
    expect(callId).toMatch(/^[\da-f-]{36}$/);
  });
});

describe("a channel", () => {
  it("spreads calls over every address that it was given", async () => {
    await using first = await startEcho({ handlers: { one: () => text("first") } });
    await using second = await startEcho({ handlers: { one: () => text("second") } });
    const channel = createChannel({ address: [first.address, second.address] });
    const client = createClient(Echo, channel);
    const answers = new Map<string, number>();
    const count = async (): Promise<number> => {
      const answer = toText(await client.one(text("x")));
      return answers.set(answer, (answers.get(answer) ?? 0) + 1).size;
    };
    await expect.poll(count, { interval: 5 }).toBe(2);
    answers.clear();
    for (let index = 0; index < 20; index += 1) await count();
    expect(Object.fromEntries(answers)).toEqual({ first: 10, second: 10 });
    channel.close();
  });

  it("goes on with the other address when one of them dies", async () => {
    const first = await startEcho();
    await using second = await startEcho();
    const channel = createChannel({ address: [first.address, second.address] });
    const client = createClient(Echo, channel);
    await client.one(text("x"));
    await first[Symbol.asyncDispose]();
    await expect
      .poll(() =>
        client.one(text("x")).then(
          () => "answered",
          () => "failed",
        ),
      )
      .toBe("answered");
    for (let index = 0; index < 10; index += 1) await client.one(text("x"));
    channel.close();
  });

  it("replaces its connection by and by without failing a call", async () => {
    const peers = new Set<string>();
    await using echo = await startEcho({
      limits: { maxConnectionAgeMs: 100 },
      handlers: {
        one: (request, context) => {
          peers.add(context.peer);
          return request;
        },
      },
    });
    const until = Date.now() + 10_000;
    while (peers.size < 5 && Date.now() < until) await echo.client.one(text("x"));
    expect(peers.size).toBe(5);
  });

  // What replaces a connection sends no keepalive over it any more; the patch of grpc-js sees to that on either side.
  it.each(["client", "server"] as const)(
    "lets a call on a connection that was replaced come to its end, where the %s keeps connections alive",
    async (side) => {
      const peers = new Set<string>();
      const released = Promise.withResolvers<void>();
      const keepsAlive = { keepaliveTimeMs: 50, keepaliveTimeoutMs: 5_000 };
      await using echo = await startEcho({
        limits: { maxConnectionAgeMs: 100, ...(side === "server" ? keepsAlive : {}) },
        clientLimits: side === "client" ? keepsAlive : {},
        handlers: {
          one: async (request, context) => {
            peers.add(context.peer);
            if (toText(request) === "long") await released.promise;
            return request;
          },
        },
      });
      const { client } = echo;
      const long = client.one(text("long")).then(toText);
      // Four connections later its own has been due for a keepalive several times.
      await waitFor(async () => (await client.one(text("x"))) && peers.size > 4, { describe: "connections" });
      released.resolve();
      expect(await long).toBe("long");
    },
  );

  it("notices, by keepalive, that a connection went silent", async () => {
    const handler = waitingHandler();
    await using echo = await startEcho({ handlers: { one: handler.one } });
    await using link = await relayTo(echo.address, { keepaliveTimeMs: 200, keepaliveTimeoutMs: 200 });
    const call = link.client.one(text("hang"), { timeoutMs: 15_000 });
    call.catch(() => {});
    await handler.called;
    link.relay.stall();
    await expect(call).rejects.toMatchObject({ code: status.UNAVAILABLE, sent: "maybe" });
  });
});

/** A handler that answers only when nobody waits for the answer any more. */
function waitingHandler() {
  const called = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<void>();
  return {
    called: called.promise,
    aborted: aborted.promise,
    one: async (request: object, context: HandlerContext): Promise<object> => {
      called.resolve();
      await once(context.signal, "abort");
      aborted.resolve();
      return request;
    },
  };
}

/** A client whose connections go through a relay. */
async function relayTo(address: string, limits: Partial<RpcLimits> = {}) {
  const [host = "", port] = address.split(":");
  const relay = await createTcpRelay({ target: { host, port: Number(port) } });
  const channel = createChannel({ address: relay.address, limits });
  return {
    relay,
    client: createClient(Echo, channel),
    async [Symbol.asyncDispose]() {
      channel.close();
      await relay.close();
    },
  };
}
