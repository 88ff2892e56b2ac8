import { create, toBinary } from "@bufbuild/protobuf";
import {
  DbProxy,
  type TransactionRequest,
  TransactionRequestSchema,
  TransactionStreamRequestSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { createChannel, createClient, defaultRpcLimits } from "@tandem/rpc";
import { waitFor } from "@tandem/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { cancel, item, type OpenStream, openStream, together, verdictOf } from "../../testing/open-stream.ts";
import {
  createProxyFixture,
  int,
  type ProxyFixture,
  step,
  type StepInit,
} from "../../testing/proxy-fixture.ts";

let proxy: ProxyFixture;
beforeAll(async () => {
  proxy = await createProxyFixture();
  await proxy.allow("pg_sleep(double precision)");
  await proxy.define("CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL CHECK (balance >= 0))");
});
afterAll(() => proxy[Symbol.asyncDispose]());

let stream: OpenStream;
afterEach(async () => {
  stream.halfClose();
  await stream.ended;
});

const ONE = { steps: [step("SELECT 1")] };
const SLOW = { steps: [step("SELECT pg_sleep(60), 'of a stream'")] };

describe("a transaction of a stream", () => {
  it("is answered with what its call would be answered with", async () => {
    stream = openStream(proxy.client);
    stream.send(item(1, { steps: [insert(1)] }));
    stream.send(item(2n ** 64n - 1n, { steps: [step("SELECT 7 AS seven")] }));
    const [first, second] = [await stream.answer(1n), await stream.answer(2n ** 64n - 1n)];
    expect(first.outcome).toMatchObject({ case: "response", value: { results: [{ changes: 1n }] } });
    expect(second.outcome).toMatchObject({ case: "response", value: { results: [{ rows: [{}] }] } });
  });

  it("fails alone, with the status that its call would have ended with", async () => {
    stream = openStream(proxy.client);
    stream.send(item(1, { steps: [step("INSERT INTO accounts VALUES (10, -1)")] }));
    stream.send(item(2, { steps: [insert(11)] }));
    expect(verdictOf(await stream.answer(1n))).toMatchObject({
      code: "FAILED_PRECONDITION",
      reason: "CHECK_VIOLATION",
      outcome: "NOT_COMMITTED",
      retryable: false,
    });
    expect(verdictOf(await stream.answer(2n))).toBe("nothing");
  });

  it("is cancelled alone, and answered all the same", async () => {
    stream = openStream(proxy.client);
    stream.send(item(1, SLOW));
    stream.send(item(2, ONE));
    await stream.answer(2n);
    stream.send(cancel(1));
    // It crossed its answer, or there never was one.
    stream.send(cancel(2));
    stream.send(cancel(99));
    expect(verdictOf(await stream.answer(1n))).toMatchObject({
      reason: "CANCELLED_BY_CALLER",
      outcome: "NOT_COMMITTED",
    });
    stream.send(item(1, ONE));
    await waitFor(() => stream.answers.length === 3, { describe: "the answer under the id that is free" });
    expect(stream.answers.map(({ id }) => id)).toEqual([2n, 1n, 1n]);
  });

  it("is answered when its time is over, and nothing of it is done", async () => {
    stream = openStream(proxy.client);
    stream.send(item(1, { steps: [insert(20), ...SLOW.steps] }, { timeoutMs: 200 }));
    stream.send(item(2, ONE, { timeoutMs: 60_000 }));
    stream.send(item(3, ONE, { timeoutMs: 0 }));
    // Nobody's handler says this, in a call neither.
    expect(verdictOf(await stream.answer(1n))).toMatchObject({
      code: "DEADLINE_EXCEEDED",
      reason: undefined,
    });
    expect(verdictOf(await stream.answer(2n))).toBe("nothing");
    expect(verdictOf(await stream.answer(3n))).toMatchObject({ code: "DEADLINE_EXCEEDED" });
    await waitFor(async () => !(await isSleeping()), { describe: "the statement to end" });
    expect(await proxy.sql("SELECT 1 FROM accounts WHERE id = 20")).toEqual([]);
  });

  it("ends with its stream's deadline where its own is later", async () => {
    stream = openStream(proxy.client, { timeoutMs: 500 });
    stream.send(item(1, SLOW, { timeoutMs: 60_000 }));
    expect(await stream.ended).toMatchObject({ name: "TransportError" });
    await waitFor(async () => !(await isSleeping()), { describe: "the statement to end" });
  });

  it("is logged under its own call id", async () => {
    stream = openStream(proxy.client);
    stream.send(item(1, { steps: [] }, { metadata: { "Tandem-Call-Id": "mine-1" } }));
    expect(verdictOf(await stream.answer(1n))).toMatchObject({ reason: "EMPTY_TRANSACTION" });
    const line = proxy.log.find((logged) => logged.includes("mine-1")) ?? "{}";
    expect(JSON.parse(line)).toMatchObject({
      callId: "mine-1",
      method: "tandem.assistant.v1.DbProxy/Transaction",
      caller: "anonymous",
      reason: "EMPTY_TRANSACTION",
    });
  });

  it("that is refused says of a resend that nobody knows", async () => {
    stream = openStream(proxy.client);
    const metadata = { authorization: "Bearer the-token-of-nobody" };
    stream.send(item(1, ONE, { metadata }));
    stream.send(item(2, { ...ONE, attempt: 1 }, { metadata }));
    const refused = { code: "UNAUTHENTICATED", reason: "UNAUTHENTICATED" };
    expect(verdictOf(await stream.answer(1n))).toMatchObject({ ...refused, outcome: "NOT_COMMITTED" });
    expect(verdictOf(await stream.answer(2n))).toMatchObject({ ...refused, outcome: "UNKNOWN" });
  });

  it.each([
    ["much metadata", { metadata: { long: "x".repeat(9_000) } }, "REQUEST_TOO_LARGE"],
    ["metadata that no call can have", { metadata: { "a b": "x" } }, "INVALID_REQUEST"],
  ] as const)("with %s is refused alone", async (_, flaw, reason) => {
    stream = openStream(proxy.client);
    stream.send(item(1, ONE, flaw));
    stream.send(item(2, ONE));
    expect(verdictOf(await stream.answer(1n))).toMatchObject({ reason, outcome: "NOT_COMMITTED" });
    expect(verdictOf(await stream.answer(2n))).toBe("nothing");
  });

  it("that is neither a request nor a cancel is refused alone", async () => {
    stream = openStream(proxy.client);
    stream.send(create(TransactionStreamRequestSchema, { id: 1n }));
    stream.send(item(2, ONE));
    const refused = { reason: "INVALID_REQUEST", outcome: "NOT_COMMITTED" };
    expect(verdictOf(await stream.answer(1n))).toMatchObject(refused);
    expect(verdictOf(await stream.answer(2n))).toBe("nothing");
  });

  it("may be as large as a call, and is refused alone where it is larger", async () => {
    const { maxRequestBytes } = defaultRpcLimits;
    const limits = { maxRequestBytes: 2 * maxRequestBytes };
    const channel = createChannel({ address: proxy.address, limits });
    stream = openStream(createClient(DbProxy, channel));
    stream.send(item(1, padded(maxRequestBytes)));
    stream.send(item(2, padded(maxRequestBytes + 1)));
    stream.send(item(3, ONE));
    expect(verdictOf(await stream.answer(1n))).toBe("nothing");
    expect(verdictOf(await stream.answer(2n))).toMatchObject({ reason: "REQUEST_TOO_LARGE" });
    expect(verdictOf(await stream.answer(3n))).toBe("nothing");
    stream.halfClose();
    await stream.ended;
    channel.close();
  });
});

describe("the id of an item", () => {
  it("that is another's, still open, is refused, and says nothing of that one", async () => {
    stream = openStream(proxy.client);
    stream.send(item(1, { steps: [step("SELECT pg_sleep(0.3)")] }));
    stream.send(item(1, ONE));
    await waitFor(() => stream.answers.length === 2, { describe: "both answers" });
    expect(stream.answers.map(verdictOf)).toMatchObject([
      { reason: "INVALID_REQUEST", outcome: "UNKNOWN" },
      "nothing",
    ]);
  });

  it("that is 0 ends the stream, once what is open is answered", async () => {
    stream = openStream(proxy.client);
    stream.send(item(1, { steps: [step("SELECT pg_sleep(0.3)")] }));
    stream.send(item(0, ONE));
    stream.send(item(2, ONE));
    expect(await stream.ended).toMatchObject({ reason: "INVALID_REQUEST", outcome: "UNKNOWN" });
    expect(stream.answers.map(({ id }) => id)).toEqual([1n]);
  });
});

it("begins no more than a number of items at a time, and the next one when one of them is over", async () => {
  await using few = await proxy.addReplica({ maxStreamItems: 2 });
  stream = openStream(few.client);
  for (const id of [1, 2]) stream.send(item(id, SLOW, { timeoutMs: 300 }));
  stream.send(item(3, ONE));
  expect(verdictOf(await stream.answer(3n))).toBe("nothing");
  expect(stream.answers.length).toBeGreaterThan(1);
  stream.halfClose();
  expect(await stream.ended).toBeUndefined();
});

describe("a message with several items", () => {
  it("has them begun in order", async () => {
    await using single = await proxy.addReplica({ poolSize: 1 });
    await proxy.define(
      "CREATE TABLE turns (n int, at serial); GRANT USAGE ON turns_at_seq TO assistant_dbproxy",
    );
    stream = openStream(single.client);
    const turn = (n: number) => item(n, { steps: [step("INSERT INTO turns VALUES ($1)", int(n))] });
    stream.send(together([turn(1), turn(2), turn(3), turn(4)]));
    await stream.answer(4n);
    expect(await proxy.sql("SELECT n FROM turns ORDER BY at")).toEqual([1, 2, 3, 4].map((n) => ({ n })));
    stream.halfClose();
    await stream.ended;
  });

  it("can have a cancel among them", async () => {
    stream = openStream(proxy.client);
    stream.send(together([item(1, SLOW), cancel(1), item(2, ONE)]));
    expect(verdictOf(await stream.answer(1n))).toMatchObject({ reason: "CANCELLED_BY_CALLER" });
    expect(verdictOf(await stream.answer(2n))).toBe("nothing");
  });

  it.each([
    ["that have more of their own", [together([item(2, ONE), item(3, ONE)])]],
    ["without an id", [item(0, ONE)]],
    ["of more than may be open at a time", Array.from({ length: 1_000 }, (_, at) => item(at + 2, ONE))],
  ])("ends the stream where there are some %s, and none of it is begun", async (_, more) => {
    stream = openStream(proxy.client);
    stream.send(together([item(1, ONE), ...more]));
    expect(await stream.ended).toMatchObject({ reason: "INVALID_REQUEST", outcome: "UNKNOWN" });
    expect(stream.answers).toEqual([]);
  });

  it("is refused, item by item, where it is larger than several may be together", async () => {
    stream = openStream(proxy.client);
    const half = { steps: [step("SELECT length($1)", { case: "textValue", value: "x".repeat(70_000) })] };
    stream.send(together([item(1, half), item(2, half)]));
    const refused = { reason: "REQUEST_TOO_LARGE", outcome: "NOT_COMMITTED" };
    expect(verdictOf(await stream.answer(1n))).toMatchObject(refused);
    expect(verdictOf(await stream.answer(2n))).toMatchObject(refused);
    stream.send(item(3, half));
    expect(verdictOf(await stream.answer(3n))).toBe("nothing");
  });
});

describe("answers", () => {
  const many = (): ReturnType<typeof item>[] =>
    Array.from({ length: 200 }, (_, at) => item(at + 1, { steps: [] }));

  it("come together where the caller reads more of them in a message", async () => {
    stream = openStream(proxy.client);
    stream.send(together([item(1_000, ONE), ...many()], { readsMore: true }));
    await waitFor(() => stream.answers.length === 201, { describe: "all answers" });
    expect(stream.messages.length).toBeLessThan(50);
    expect(new Set(stream.answers.map(({ id }) => id)).size).toBe(201);
  });

  it("come one by one where it doesn't say so", async () => {
    stream = openStream(proxy.client);
    stream.send(together([item(1_000, ONE), ...many()]));
    await waitFor(() => stream.answers.length === 201, { describe: "all answers" });
    expect(stream.messages).toHaveLength(201);
  });

  it("come in messages of a bounded size, and a large one by itself", async () => {
    stream = openStream(proxy.client);
    const large = { steps: [step("SELECT repeat('x', 50000)")] };
    const items = Array.from({ length: 20 }, (_, at) => item(at + 1, large));
    stream.send(together(items, { readsMore: true }));
    await waitFor(() => stream.answers.length === 20, { describe: "all answers" });
    // Of two together there would be more than 64 KiB.
    expect(stream.messages).toHaveLength(20);
  });

  it("all come after the caller has said that it sends no more, and then the stream ends", async () => {
    stream = openStream(proxy.client);
    stream.send(item(1, { steps: [step("SELECT pg_sleep(0.2)")] }));
    stream.send(item(2, ONE));
    stream.halfClose();
    expect(await stream.ended).toBeUndefined();
    expect(stream.answers.map(({ id }) => id)).toEqual([2n, 1n]);
  });
});

async function isSleeping(): Promise<boolean> {
  const sql =
    "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%of a stream%' AND pid <> pg_backend_pid() AND state = 'active'";
  return (await proxy.sql(sql)).length > 0;
}

/** A request of exactly so many bytes. */
function padded(bytes: number): TransactionRequest {
  const withText = (length: number): TransactionRequest =>
    create(TransactionRequestSchema, {
      steps: [step("SELECT length($1)", { case: "textValue", value: "x".repeat(length) })],
    });
  return withText(2 * bytes - toBinary(TransactionRequestSchema, withText(bytes)).byteLength);
}

function insert(id: number): StepInit {
  return step("INSERT INTO accounts VALUES ($1, $2)", int(id), int(0));
}
