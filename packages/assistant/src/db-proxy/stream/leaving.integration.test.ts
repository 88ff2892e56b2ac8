import { createChannel, createClient } from "@tandem/rpc";
import { DbProxy } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { waitFor } from "@tandem/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { item, openStream, verdictOf } from "../../testing/open-stream.ts";
import { createProxyFixture, type ProxyFixture, type Replica, step } from "../../testing/proxy-fixture.ts";

const LONG_MS = 60_000;
const ONE = { steps: [step("SELECT 1")] };
const SHORT = { steps: [step("SELECT pg_sleep(0.5)")] };
const SLOW = { steps: [step("SELECT pg_sleep(60), 'of a stream'")] };

let proxy: ProxyFixture;
beforeAll(async () => {
  proxy = await createProxyFixture();
  await proxy.allow("pg_sleep(double precision)");
});
afterAll(() => proxy[Symbol.asyncDispose]());

describe("a stream that is old", () => {
  const old = (streamGraceMs: number): Promise<Replica> =>
    proxy.addReplica({ maxStreamAgeMs: 100, streamGraceMs });

  it("sends its caller to another one once, finishes what is open, and ends when the caller has left", async () => {
    await using replica = await old(LONG_MS);
    const stream = openStream(replica.client);
    stream.send(item(1, SHORT));
    await waitFor(() => stream.goneAway, { describe: "go_away" });
    stream.halfClose();
    expect(await stream.ended).toBeUndefined();
    expect(stream.messages.map(({ outcome }) => outcome.case)).toEqual(["goAway", "response"]);
  });

  it("takes what crossed that", async () => {
    await using replica = await old(LONG_MS);
    const stream = openStream(replica.client);
    await waitFor(() => stream.goneAway, { describe: "go_away" });
    stream.send(item(1, ONE));
    expect(verdictOf(await stream.answer(1n))).toBe("nothing");
    stream.halfClose();
    await stream.ended;
  });

  it("refuses what comes later than anything can have crossed, and ends when nothing is open", async () => {
    await using replica = await old(50);
    const stream = openStream(replica.client);
    stream.send(item(1, { steps: [step("SELECT pg_sleep(1)")] }));
    await waitFor(() => stream.goneAway, { describe: "go_away" });
    for (let id = 2n; ; id += 2n) {
      stream.send(item(id, ONE));
      stream.send(item(id + 1n, { ...ONE, attempt: 1 }));
      const [first, resend] = [verdictOf(await stream.answer(id)), verdictOf(await stream.answer(id + 1n))];
      if (first === "nothing") continue;
      const refused = { code: "UNAVAILABLE", reason: "DRAINING", retryable: true, retryAfter: true };
      expect(first).toMatchObject({ ...refused, outcome: "NOT_COMMITTED" });
      expect(resend).toMatchObject({ ...refused, outcome: "UNKNOWN" });
      break;
    }
    // Its caller never says that it is done.
    expect(await stream.ended).toBeUndefined();
    expect(verdictOf(await stream.answer(1n))).toBe("nothing");
  });
});

describe("a server that drains", () => {
  it("sends streams away, waits for what is open on them, and refuses what comes", async () => {
    const replica = await proxy.addReplica({ streamGraceMs: 50 });
    const stream = openStream(replica.client);
    stream.send(item(1, SHORT));
    stream.send(item(2, ONE));
    await stream.answer(2n);
    const channel = createChannel({ address: replica.address });
    const idle = openStream(createClient(DbProxy, channel));
    idle.send(item(1, ONE));
    await idle.answer(1n);
    const drained = replica.drain();
    await waitFor(() => stream.goneAway && idle.goneAway, { describe: "go_away" });
    stream.send(item(3, ONE));
    expect(verdictOf(await stream.answer(3n))).toMatchObject({
      reason: "DRAINING",
      outcome: "NOT_COMMITTED",
      retryable: true,
    });
    expect(verdictOf(await stream.answer(1n))).toBe("nothing");
    expect(await stream.ended).toBeUndefined();
    expect(await idle.ended).toBeUndefined();
    expect(await drained).toEqual({ forced: 0 });
    channel.close();
    await replica[Symbol.asyncDispose]();
  });

  it("ends by force what doesn't end in time, and counts each item of it", async () => {
    const replica = await proxy.addReplica();
    const stream = openStream(replica.client);
    for (const id of [1, 2, 3]) stream.send(item(id, SLOW));
    await waitFor(async () => (await sleeping()) === 3, { describe: "three statements to run" });
    expect(await replica.drain()).toEqual({ forced: 3 });
    expect(await stream.ended).toMatchObject({ name: "TransportError", sent: "maybe" });
    await waitFor(async () => (await sleeping()) === 0, { describe: "the statements to end" });
    await replica[Symbol.asyncDispose]();
  });
});

describe("a stream whose caller is gone", () => {
  it("has what is open on it cancelled", async () => {
    const channel = createChannel({ address: proxy.address });
    const stream = openStream(createClient(DbProxy, channel));
    for (const id of [1, 2, 3]) stream.send(item(id, SLOW));
    await waitFor(async () => (await sleeping()) === 3, { describe: "three statements to run" });
    channel.close();
    await stream.ended;
    await waitFor(async () => (await sleeping()) === 0, { describe: "the statements to end" });
  });
});

async function sleeping(): Promise<number> {
  const [row] = await proxy.sql(
    "SELECT count(*)::int AS n FROM pg_stat_activity WHERE query LIKE '%of a stream%' AND pid <> pg_backend_pid() AND state = 'active'",
  );
  return Number(row?.["n"]);
}
