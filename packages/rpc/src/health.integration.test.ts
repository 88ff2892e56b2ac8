import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "@tandem/contract/health/v1/health";
import { once } from "node:events";
import { connect } from "node:http2";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { createChannel } from "./client/channel.ts";
import { createClient } from "./client/client.ts";
import { HandlerError } from "./errors/handler-error.ts";
import { PeerNotReadyError, type PeerState, waitForPeer } from "./health/wait-for-peer.ts";
import { startEcho } from "./testing/echo-server.ts";
import { Echo } from "./testing/echo-service.ts";
import { holdHandler } from "./testing/held-handler.ts";
import { startTcpServer, unusedAddress } from "./testing/raw-servers.ts";

const ECHO = "tandem.rpc.testing.Echo";

describe("grpc.health.v1", () => {
  it("tells of the server and of each service on its own", async () => {
    await using echo = await startEcho();
    const health = createClient(Health, echo.channel);
    expect((await health.check({ service: "" })).status).toBe(ServingStatus.NOT_SERVING);
    echo.server.health.set(ECHO, true);
    expect((await health.check({ service: ECHO })).status).toBe(ServingStatus.SERVING);
    expect((await health.check({ service: "" })).status).toBe(ServingStatus.NOT_SERVING);
    await expect(health.check({ service: "nobody" })).rejects.toMatchObject({ code: 5 });
    expect(Object.keys((await health.list({})).statuses).toSorted()).toEqual(["", ECHO]);
  });

  it("tells a watcher of every change, of services that it doesn't know, and of the drain, and then ends", async () => {
    await using echo = await startEcho();
    const health = createClient(Health, echo.channel);
    const seen: ServingStatus[] = [];
    const unknown: ServingStatus[] = [];
    const watch = async (service: string, into: ServingStatus[]): Promise<void> => {
      for await (const { status } of health.watch({ service })) into.push(status);
    };
    const watching = Promise.all([watch(ECHO, seen), watch("nobody", unknown)]);
    await expect
      .poll(() => [seen, unknown])
      .toEqual([[ServingStatus.NOT_SERVING], [ServingStatus.SERVICE_UNKNOWN]]);
    echo.server.health.set(ECHO, true);
    await expect.poll(() => seen.at(-1)).toBe(ServingStatus.SERVING);
    expect(await echo.server.drain({ timeoutMs: 5_000 })).toEqual({ forced: 0 });
    await watching;
    expect(seen.at(-1)).toBe(ServingStatus.NOT_SERVING);
  });
});

describe("a server that refuses calls until it serves", () => {
  it("answers for its health meanwhile, and everything else with NOT_READY, retryable", async () => {
    await using echo = await startEcho({ refuseUntilServing: true });
    const health = createClient(Health, echo.channel);
    expect((await health.check({ service: ECHO })).status).toBe(ServingStatus.NOT_SERVING);
    await expect(echo.client.one({})).rejects.toMatchObject({ reason: "NOT_READY", retryable: true });
    echo.server.health.setAll(true);
    await echo.client.one({});
  });
});

describe("waiting for a peer", () => {
  it("goes on while the peer can't be reached or isn't ready, and ends when it serves", async () => {
    const address = await unusedAddress();
    const states: PeerState[] = [];
    const waiting = waitForPeer({
      ...(await peerAt(address)),
      timeoutMs: 15_000,
      intervalMs: 20,
      onWaiting: (state) => states.push(state),
    });
    await expect.poll(() => states).toEqual(["unreachable"]);
    await using echo = await startEcho({ address });
    await expect.poll(() => states).toEqual(["unreachable", "not-serving"]);
    echo.server.health.set("", true);
    await waiting;
  });

  it("gives up after its time with what it saw last", async () => {
    const options = { timeoutMs: 300, intervalMs: 20 };
    const unreachable = await waitForPeer({ ...(await peerAt(await unusedAddress())), ...options }).catch(
      same,
    );
    expect(unreachable).toBeInstanceOf(PeerNotReadyError);
    expect(unreachable).toMatchObject({ state: "unreachable" });
    await using echo = await startEcho();
    const notServing = await waitForPeer({ ...(await peerAt(echo.address)), ...options }).catch(same);
    expect(notServing).toMatchObject({ state: "not-serving" });
    await using mute = await startTcpServer();
    const started = Date.now();
    const hung = await waitForPeer({ ...(await peerAt(mute.address)), ...options }).catch(same);
    expect(hung).toMatchObject({ state: "unreachable" });
    expect(Date.now() - started).toBeLessThan(2_000);
  });

  it("stops at once, with the handler's words, when the handler fails", async () => {
    const refusal = new HandlerError({ reason: "UNAUTHENTICATED", message: "Show a certificate." });
    await using echo = await startEcho({ interceptors: [() => Promise.reject(refusal)] });
    const started = Date.now();
    const error = await waitForPeer({ ...(await peerAt(echo.address)), timeoutMs: 15_000 }).catch(same);
    expect(error).toMatchObject({
      name: "HandlerError",
      reason: "UNAUTHENTICATED",
      message: "Show a certificate.",
    });
    expect(Date.now() - started).toBeLessThan(5_000);
  });

  it("stops at once when its own caller does", async () => {
    const caller = new AbortController();
    const waiting = waitForPeer({
      ...(await peerAt(await unusedAddress())),
      timeoutMs: 15_000,
      signal: caller.signal,
      onWaiting: () => caller.abort(new Error("enough")),
    });
    await expect(waiting).rejects.not.toBeInstanceOf(PeerNotReadyError);
  });
});

describe("a drain", () => {
  it("lets running calls finish and tells streams without an end to end", async () => {
    const called = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    await using echo = await startEcho({
      handlers: {
        one: async (request) => {
          called.resolve();
          await release.promise;
          return request;
        },
        async *down(request, context) {
          yield request;
          await once(context.draining, "abort");
        },
      },
    });
    const call = echo.client.one({});
    const stream = echo.client.down({})[Symbol.asyncIterator]();
    await stream.next();
    await called.promise;
    const drained = echo.server.drain({ timeoutMs: 5_000 });
    expect(await stream.next()).toMatchObject({ done: true });
    release.resolve();
    await call;
    expect(await drained).toEqual({ forced: 0 });
  });

  it("ends by force what doesn't end in time, and says how much that was", async () => {
    const called = Promise.withResolvers<void>();
    const aborted = Promise.withResolvers<void>();
    await using echo = await startEcho({
      handlers: {
        one: async (_, context) => {
          called.resolve();
          await once(context.signal, "abort");
          aborted.resolve();
          return new Promise<never>(() => {});
        },
      },
    });
    const call = echo.client.one({}).catch(same);
    await called.promise;
    expect(await echo.server.drain({ timeoutMs: 100 })).toEqual({ forced: 1 });
    await aborted.promise;
    expect(await call).toBeInstanceOf(Error);
  });

  it("sends callers to another instance while its last call runs, and hardly one of them notices", async () => {
    const { one, called, release } = holdHandler();
    await using leaving = await startEcho({ handlers: { one } });
    await using staying = await startEcho();
    const last = leaving.client.one({}, { timeoutMs: 30_000 });
    await called;
    const channel = createChannel({ address: [leaving.address, staying.address] });
    const client = createClient(Echo, channel);
    await expect
      .poll(() =>
        client.one({}, { timeoutMs: 50 }).then(
          () => 1,
          () => 0,
        ),
      )
      .toBe(0);
    const drained = leaving.server.drain({ timeoutMs: 20_000 });
    const ends: string[] = [];
    for (let call = 0; call < 500; call += 1) {
      ends.push(await client.one({}, { timeoutMs: 5_000 }).then(() => "answered", describeFailure));
    }
    // One of them can have been under way, or be the one that finds the listener gone.
    expect(ends.filter((end) => end !== "answered").length).toBeLessThan(3);
    expect(ends.filter((end) => !/^(answered|not sent|DRAINING)/.test(end))).toEqual([]);
    release();
    await last;
    expect(await drained).toEqual({ forced: 0 });
    channel.close();
  });

  it("refuses by a handler what had half arrived when it began", async () => {
    const { one, called, release } = holdHandler();
    await using echo = await startEcho({ handlers: { one } });
    const last = echo.client.one({});
    await called;
    const session = connect(`http://${echo.address}`);
    await once(session, "connect");
    const path = `/${ECHO}/One`;
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.write(Buffer.from([0, 0, 0, 0]));
    // Its answer says that the server has seen what was sent before it.
    await promisify((done: (error: Error | null) => void) => session.ping(done))();
    const drained = echo.server.drain({ timeoutMs: 5_000 });
    stream.end(Buffer.from([0]));
    const [headers] = (await once(stream, "response")) as [Record<string, string>];
    expect(headers).toMatchObject({ "grpc-status": "14" });
    expect(headers["grpc-message"]).toContain("stopping");
    session.close();
    release();
    await last;
    await drained;
  });

  it("under load leaves no caller in doubt: each call is answered, refused by a handler or never sent", async () => {
    await using echo = await startEcho();
    const ends = new Map<string, number>();
    const caller = async (): Promise<void> => {
      for (;;) {
        const end = await echo.client.one({}, { timeoutMs: 5_000 }).then(() => "answered", describeFailure);
        ends.set(end, (ends.get(end) ?? 0) + 1);
        if (end.startsWith("not sent")) return;
      }
    };
    const callers = Promise.all(Array.from({ length: 32 }, caller));
    await expect.poll(() => ends.get("answered") ?? 0).toBeGreaterThan(500);
    await echo.server.drain({ timeoutMs: 5_000 });
    await callers;
    expect([...ends.keys()].filter((end) => !/^(answered|not sent|DRAINING)/.test(end))).toEqual([]);
  });
});

async function peerAt(address: string): Promise<{ channel: ReturnType<typeof createChannel>; name: string }> {
  return {
    channel: createChannel({ address, limits: { minReconnectMs: 20, maxReconnectMs: 50 } }),
    name: "echo",
  };
}

function same(error: unknown): unknown {
  return error;
}

function describeFailure(error: { reason?: string; sent?: string; message: string }): string {
  if (error.reason !== undefined) return error.reason;
  return error.sent === "no" ? "not sent" : `in doubt: ${error.message}`;
}
