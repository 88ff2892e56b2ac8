import { status } from "@grpc/grpc-js";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { HandlerError } from "./errors/handler-error.ts";
import { TransportError } from "./errors/transport-error.ts";
import { startEcho } from "./testing/echo-server.ts";
import { text, toText } from "./testing/echo-service.ts";

const refusal = new HandlerError({ reason: "GUARD_UNMET", message: "Not like this." });
const CHUNK = Buffer.alloc(64 * 1024);

describe("a stream", () => {
  it("gives every response that came before an error, then the error", async () => {
    await using echo = await startEcho({
      handlers: {
        async *down() {
          for (let index = 0; index < 20; index += 1) yield text(String(index));
          throw refusal;
        },
      },
    });
    const received: string[] = [];
    const read = async (): Promise<void> => {
      for await (const response of echo.client.down(text("go"))) received.push(toText(response));
    };
    await expect(read()).rejects.toMatchObject({ name: "HandlerError", reason: "GUARD_UNMET" });
    expect(received).toHaveLength(20);
  });

  it("answers with the handler's error while requests are still coming, and asks for no more", async () => {
    let given = 0;
    let cleanedUp = false;
    const endless = async function* (): AsyncGenerator<{ value: Uint8Array }> {
      try {
        for (;;) {
          given += 1;
          yield { value: CHUNK };
        }
      } finally {
        cleanedUp = true;
      }
    };
    await using echo = await startEcho({ handlers: { up: () => Promise.reject(refusal) } });
    await expect(echo.client.up(endless())).rejects.toMatchObject({ reason: "GUARD_UNMET" });
    await expect.poll(() => cleanedUp).toBe(true);
    expect(given).toBeLessThan(1_000);
  });

  it("reports what the caller's own requests failed with", async () => {
    await using echo = await startEcho();
    const failing = (async function* (): AsyncGenerator<{ value: Uint8Array }> {
      yield text("one");
      throw new RangeError("out of requests");
    })();
    await expect(echo.client.up(failing)).rejects.toThrow(new RangeError("out of requests"));
  });

  it("is cancelled in the handler when the caller's own requests fail", async () => {
    const called = Promise.withResolvers<void>();
    const aborted = Promise.withResolvers<void>();
    const broken = async function* (): AsyncGenerator<{ value: Uint8Array }> {
      yield text("one");
      await called.promise;
      throw new RangeError("out of requests");
    };
    await using echo = await startEcho({
      handlers: {
        up: async (_, context) => {
          called.resolve();
          await once(context.signal, "abort");
          aborted.resolve();
          return {};
        },
      },
    });
    await expect(echo.client.up(broken())).rejects.toThrow("out of requests");
    await aborted.promise;
  });

  it("takes requests from the caller only as fast as the handler reads them", async () => {
    let given = 0;
    const release = Promise.withResolvers<void>();
    const many = async function* (): AsyncGenerator<{ value: Uint8Array }> {
      for (; given < 500; given += 1) yield { value: CHUNK };
    };
    await using echo = await startEcho({
      handlers: {
        up: async (requests) => {
          await release.promise;
          let count = 0;
          for await (const _ of requests) count += 1;
          return text(String(count));
        },
      },
    });
    const call = echo.client.up(many(), { timeoutMs: 15_000 });
    await expectStill(() => given);
    expect(given).toBeLessThan(100);
    release.resolve();
    expect(toText(await call)).toBe("500");
  });

  it("lets the handler run ahead of a slow reader only as far as the buffers reach", async () => {
    let made = 0;
    await using echo = await startEcho({
      handlers: {
        async *down() {
          for (; made < 500; made += 1) yield { value: CHUNK };
        },
      },
    });
    let read = 0;
    for await (const _ of echo.client.down(text("go"), { timeoutMs: 15_000 })) {
      if (read === 0) await expectStill(() => made);
      if (read === 0) expect(made).toBeLessThan(100);
      read += 1;
    }
    expect(read).toBe(500);
  });

  it("is cancelled in the handler when its reader leaves the loop, and runs the handler's clean-up", async () => {
    const cleanedUp = Promise.withResolvers<boolean>();
    await using echo = await startEcho({
      handlers: {
        async *down(_, context) {
          try {
            for (;;) yield text("more");
          } finally {
            cleanedUp.resolve(context.signal.aborted);
          }
        },
      },
    });
    for await (const _ of echo.client.down(text("go"))) break;
    expect(await cleanedUp.promise).toBe(true);
  });

  it("says nothing of its handler's bug on the wire and everything in the log", async () => {
    await using echo = await startEcho({
      handlers: {
        async *down(request) {
          yield request;
          throw new TypeError("password=hunter2");
        },
      },
    });
    const read = async (): Promise<void> => {
      for await (const _ of echo.client.down(text("go")));
    };
    const error = await read().catch((caught: unknown) => caught);
    expect(error).toMatchObject({ reason: "HANDLER_FAILED", outcome: "UNKNOWN" });
    expect(String(error)).not.toContain("hunter2");
    expect(JSON.stringify(echo.log)).toContain("hunter2");
  });

  it("is cancelled, here and in the handler, by its caller's signal", async () => {
    const caller = new AbortController();
    const aborted = Promise.withResolvers<void>();
    await using echo = await startEcho({
      handlers: {
        async *down(request, context) {
          yield request;
          await once(context.signal, "abort");
          aborted.resolve();
        },
      },
    });
    const read = async (): Promise<void> => {
      for await (const _ of echo.client.down(text("go"), { signal: caller.signal })) caller.abort();
    };
    await expect(read()).rejects.toMatchObject({ name: "TransportError", code: status.CANCELLED });
    await aborted.promise;
  });

  it("ends at its deadline even when the handler waits for something else", async () => {
    await using echo = await startEcho({
      handlers: {
        async *down() {
          yield text("first");
          await delay(60_000, undefined, { ref: false });
        },
      },
    });
    const read = async (): Promise<void> => {
      for await (const _ of echo.client.down(text("go"), { timeoutMs: 200 }));
    };
    await expect(read()).rejects.toBeInstanceOf(TransportError);
  });

  it("is not started where nobody asks for a response", async () => {
    let called = false;
    await using echo = await startEcho({
      handlers: {
        async *down(request) {
          called = true;
          yield request;
        },
      },
    });
    echo.client.down(text("go"));
    await echo.client.one(text("something else, to let the first arrive"));
    expect(called).toBe(false);
  });
});

/** Waits until a number has stopped growing: two readings in a row, apart by more than a round trip. */
async function expectStill(read: () => number): Promise<void> {
  let before = -1;
  await expect
    .poll(
      () => {
        const now = read();
        const still = now > 0 && now === before;
        before = now;
        return still;
      },
      { interval: 100 },
    )
    .toBe(true);
}
