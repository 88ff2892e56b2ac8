import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cancel, item, openStream, verdictOf } from "../../testing/open-stream.ts";
import { createProxyFixture, int, type ProxyFixture, step } from "../../testing/proxy-fixture.ts";

let proxy: ProxyFixture;
beforeAll(async () => {
  proxy = await createProxyFixture();
  await proxy.define("CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL CHECK (balance >= 0))");
});
afterAll(() => proxy[Symbol.asyncDispose]());

const insert = (id: number): ReturnType<typeof step> =>
  step("INSERT INTO accounts VALUES ($1, $2)", int(id), int(0));

describe("a stream of transactions", () => {
  it("answers each with what the call would be answered with", async () => {
    const stream = openStream(proxy.client);
    stream.send(item(1, { steps: [insert(1)] }));
    stream.send(item(2, { steps: [step("SELECT 7 AS seven")] }));
    const first = await stream.answer(1n);
    const second = await stream.answer(2n);
    expect(first.outcome).toMatchObject({ case: "response", value: { results: [{ changes: 1n }] } });
    expect(second.outcome).toMatchObject({ case: "response", value: { results: [{ rows: [{}] }] } });
    stream.halfClose();
    expect(await stream.ended).toBeUndefined();
  });

  it("fails one alone, with the status that the call would have ended with", async () => {
    const stream = openStream(proxy.client);
    stream.send(item(1, { steps: [step("INSERT INTO accounts VALUES (10, -1)")] }));
    stream.send(item(2, { steps: [insert(11)] }));
    expect(verdictOf(await stream.answer(1n))).toMatchObject({
      code: "FAILED_PRECONDITION",
      reason: "CHECK_VIOLATION",
      outcome: "NOT_COMMITTED",
      retryable: false,
    });
    expect(verdictOf(await stream.answer(2n))).toBe("nothing");
    stream.halfClose();
    expect(await stream.ended).toBeUndefined();
  });

  it("cancels one alone, which is answered as well", async () => {
    const stream = openStream(proxy.client);
    const slow = "SELECT count(*) FROM generate_series(1, 1000000000)";
    stream.send(item(1, { steps: [step(slow)] }));
    stream.send(item(2, { steps: [step("SELECT 1")] }));
    await stream.answer(2n);
    stream.send(cancel(1));
    stream.send(cancel(99));
    expect(verdictOf(await stream.answer(1n))).toMatchObject({
      reason: "CANCELLED_BY_CALLER",
      outcome: "NOT_COMMITTED",
    });
    stream.halfClose();
    expect(await stream.ended).toBeUndefined();
  });

  it("answers with DEADLINE_EXCEEDED when the time of one is over, and nothing of it is done", async () => {
    const stream = openStream(proxy.client);
    const slow = "SELECT count(*) FROM generate_series(1, 1000000000)";
    stream.send(item(1, { steps: [insert(20), step(slow)] }, { timeoutMs: 200 }));
    const verdict = verdictOf(await stream.answer(1n));
    expect(verdict).toMatchObject({ code: "DEADLINE_EXCEEDED" });
    expect(await proxy.sql("SELECT 1 FROM accounts WHERE id = 20")).toEqual([]);
    stream.halfClose();
    expect(await stream.ended).toBeUndefined();
  });
});
