import { Isolation, type TransactionResponse } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { expectNoOpenTransactions } from "@tandem/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  createProxyFixture,
  failureOf,
  type ProxyFixture,
  type Replica,
  step,
} from "../testing/proxy-fixture.ts";

// Reads what the others have left and writes what follows from it, with a pause between: two at a time would
// write the same number.
const next = step("INSERT INTO numbers SELECT coalesce(max(n), 0) + 1 FROM numbers, pg_sleep(0.005)");

let one: ProxyFixture;
let other: Replica;
beforeAll(async () => {
  one = await createProxyFixture({ poolSize: 4, maxWaiting: 40 });
  other = await one.addReplica();
  await one.allow("pg_sleep(double precision)");
  await one.define("CREATE TABLE numbers (n int NOT NULL)");
});
beforeEach(() => one.sql("TRUNCATE numbers"));
afterEach(() => expectNoOpenTransactions(one.databaseUrl));
afterAll(async () => {
  await other[Symbol.asyncDispose]();
  await one[Symbol.asyncDispose]();
});

const write = (instance: Replica, serializationKey: string, isolation: Isolation = Isolation.UNSPECIFIED) =>
  instance.client.transaction({ steps: [next], serializationKey, isolation });
const both = (count: number, send: (instance: Replica) => Promise<TransactionResponse>) =>
  Promise.all(Array.from({ length: count }, (_, index) => send(index % 2 === 0 ? one : other)));
const numbers = async () => (await one.sql("SELECT n FROM numbers ORDER BY n")).map(({ n }) => n);
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

describe("transactions with the same key", () => {
  it.each([Isolation.READ_COMMITTED, Isolation.REPEATABLE_READ, Isolation.SERIALIZABLE])(
    "are applied one at a time, whichever instance they reach (isolation %i)",
    async (isolation) => {
      await both(20, (instance) => write(instance, "account 1", isolation));
      expect(await numbers()).toEqual(upTo(20));
    },
  );

  it("would get in each other's way without it", async () => {
    await both(20, (instance) => write(instance, ""));
    expect(await numbers()).not.toEqual(upTo(20));
  });
});

describe("who waits for a key", () => {
  const slow = { steps: [step("SELECT pg_sleep(0.3)")], serializationKey: "busy" };

  it("holds no connection", async () => {
    const waiting = Array.from({ length: 10 }, () => one.client.transaction(slow, { timeoutMs: 1_000 }));
    const ended = Promise.allSettled(waiting);
    await expect
      .poll(() => one.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))
      .toHaveLength(1);
    const busy = "SELECT 1 FROM pg_stat_activity WHERE usename = 'assistant_dbproxy' AND state <> 'idle'";
    expect(await one.sql(busy)).toHaveLength(1);
    // Another key's turn comes at once.
    expect(await write(one, "free")).toMatchObject({ results: [{ changes: 1n }] });
    await ended;
  });

  it("is refused at once where too many do, and is never run where it has left", async () => {
    const running = one.client.transaction(slow);
    const left = new AbortController();
    const waiting = Array.from({ length: 20 }, () =>
      failureOf(one.client.transaction({ steps: [next], serializationKey: "busy" }, { signal: left.signal })),
    );
    const overloaded = async () =>
      failureOf(one.client.transaction({ ...slow, validateOnly: true }, { timeoutMs: 100 }));
    await expect.poll(overloaded).toMatchObject({ reason: "OVERLOADED", outcome: "NOT_COMMITTED" });
    left.abort();
    await Promise.all(waiting);
    await running;
    expect(await write(one, "busy")).toMatchObject({ results: [{ changes: 1n }] });
    expect(await numbers()).toEqual([1]);
  });

  it("is told where a key is too long", async () => {
    const call = one.client.transaction({ steps: [next], serializationKey: "x".repeat(1_025) });
    expect(await failureOf(call)).toMatchObject({ reason: "REQUEST_TOO_LARGE" });
  });
});
