import { once } from "node:events";
import { createChannel, StatusCode } from "@tandem/rpc";
import { createDbProxy } from "./create-db-proxy.ts";
import { sql } from "./sql.ts";
import { trackLeaks } from "@tandem/testkit";
import { afterAll, describe, expect, it } from "vitest";
import { startRecordingOwner } from "./testing/recording-owner.ts";

const leaks = trackLeaks();
afterAll(() => leaks.expectNoLeaks());

describe("the other side", () => {
  it.each([
    { where: "for all calls", client: { timeoutMs: 3_000 }, options: {}, within: 3_000 },
    { where: "for one call", client: { timeoutMs: 9_000 }, options: { timeoutMs: 3_000 }, within: 3_000 },
    { where: "on the channel", client: { limits: { defaultTimeoutMs: 3_000 } }, options: {}, within: 3_000 },
  ])("hears of the timeout that was set $where", async ({ client, options, within }) => {
    await using owner = await startRecordingOwner({ client });
    const before = Date.now();
    await owner.db.transaction([sql`SELECT 1`], options);
    await owner.db.query(sql`SELECT 1`, options);
    for (const { deadline } of owner.contexts) {
      expect(deadline?.getTime()).toBeGreaterThan(before + within - 1_000);
      expect(deadline?.getTime()).toBeLessThan(Date.now() + within + 100);
    }
  });

  it("hears that its caller cancelled, and on whose behalf it was called", async () => {
    const aborted = Promise.withResolvers<string>();
    const caller = new AbortController();
    await using owner = await startRecordingOwner({
      handlers: {
        transaction: async (_, { signal, callId }) => {
          queueMicrotask(() => caller.abort());
          await once(signal, "abort");
          aborted.resolve(callId);
          return {};
        },
      },
    });
    const context = { callId: "0197-call", deadline: undefined, signal: new AbortController().signal };
    const call = owner.db.transaction([sql`SELECT 1`], { signal: caller.signal, context });
    await expect(call).rejects.toMatchObject({ code: StatusCode.CANCELLED, sent: "maybe" });
    expect(await aborted.promise).toBe("0197-call");
  });
});

describe("closing", () => {
  it("ends a channel of its own, and later calls are not sent", async () => {
    await using owner = await startRecordingOwner();
    await owner.db.probe();
    owner.db.close();
    await expect(owner.db.probe()).rejects.toMatchObject({ name: "TransportError", sent: "no" });
  });

  it("leaves a channel that it was given to whoever made it", async () => {
    await using owner = await startRecordingOwner();
    const channel = createChannel({ address: owner.address });
    const first = createDbProxy({ channel });
    await first.probe();
    first.close();
    const second = createDbProxy({ channel });
    expect(await second.probe()).toMatchObject({ role: "primary" });
    channel.close();
  });
});
