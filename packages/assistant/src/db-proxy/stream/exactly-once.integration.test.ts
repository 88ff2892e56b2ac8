import { DbProxy, type TransactionStreamResponse } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { createChannel, createClient } from "@tandem/rpc";
import { createTcpRelay, waitFor } from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { identified } from "../../testing/identified.ts";
import { item, openStream, together, verdictOf } from "../../testing/open-stream.ts";
import { createProxyFixture, int, type ProxyFixture, step } from "../../testing/proxy-fixture.ts";

let proxy: ProxyFixture;
beforeAll(async () => {
  proxy = await createProxyFixture({ maxWaiting: 1_000 });
  await proxy.define("CREATE TABLE effects (n int NOT NULL)");
});
afterAll(() => proxy[Symbol.asyncDispose]());

it("applies a request once that comes twice over one stream, and over two", async () => {
  const [stream, other] = [openStream(proxy.client), openStream(proxy.client)];
  const request = effect(1);
  stream.send(item(1, request));
  expect(replayed(await stream.answer(1n))).toBe(false);
  stream.send(item(2, { ...request, attempt: 1 }));
  expect(replayed(await stream.answer(2n))).toBe(true);
  other.send(item(1, { ...request, attempt: 2 }));
  expect(replayed(await other.answer(1n))).toBe(true);
  expect(await effects()).toEqual({ applied: 1, distinct: 1 });
  for (const each of [stream, other]) each.halfClose();
  await Promise.all([stream.ended, other.ended]);
});

it("applies a request once whose copies come in one message", async () => {
  const stream = openStream(proxy.client);
  const request = effect(2);
  stream.send(
    together(
      [1, 2, 3].map((id) => item(id, request)),
      { readsMore: true },
    ),
  );
  stream.halfClose();
  expect(await stream.ended).toBeUndefined();
  const verdicts = stream.answers.map(verdictOf);
  expect(verdicts.filter((verdict) => verdict === "nothing").length).toBeGreaterThan(0);
  for (const verdict of verdicts) {
    if (verdict !== "nothing")
      expect(verdict).toMatchObject({ reason: "REQUEST_IN_PROGRESS", retryable: true });
  }
  expect(await effects()).toEqual({ applied: 1, distinct: 1 });
});

it("settles, by a resend, what was open on a stream that was cut", async () => {
  const [host = "", port] = proxy.address.split(":");
  const relay = await createTcpRelay({ target: { host, port: Number(port) } });
  const channel = createChannel({ address: relay.address });
  const cut = openStream(createClient(DbProxy, channel));
  const requests = Array.from({ length: 100 }, (_, at) => effect(at));
  // Some are answered by then, some are committed, some run, some wait.
  relay.when({ direction: "toClient", bytes: 2_000 }, (connection) => connection.cut());
  for (const [id, request] of requests.entries()) cut.send(item(id + 1, request));
  expect(await cut.ended).toMatchObject({ name: "TransportError", sent: "maybe" });
  expect(cut.answers.length).toBeLessThan(100);
  channel.close();
  await relay.close();

  const stream = openStream(proxy.client);
  for (const [id, request] of requests.entries()) stream.send(item(id + 1, { ...request, attempt: 1 }));
  stream.halfClose();
  expect(await stream.ended).toBeUndefined();
  const unsettled = stream.answers.filter((answer) => verdictOf(answer) !== "nothing");
  for (const answer of unsettled) {
    const stillThere = { reason: "REQUEST_IN_PROGRESS", retryable: true };
    expect(verdictOf(answer)).toMatchObject(stillThere);
    const request = { ...requests[Number(answer.id) - 1], attempt: 2 };
    await expect.poll(() => proxy.client.transaction(request).catch(() => undefined)).toBeDefined();
  }
  expect(await effects()).toEqual({ applied: 100, distinct: 100 });
});

it("runs a thousand at a time over one stream", async () => {
  const stream = openStream(proxy.client);
  const items = Array.from({ length: 1_000 }, (_, at) => item(at + 1, effect(at), { timeoutMs: 60_000 }));
  for (let at = 0; at < 1_000; at += 100)
    stream.send(together(items.slice(at, at + 100), { readsMore: true }));
  stream.halfClose();
  expect(await stream.ended).toBeUndefined();
  expect(stream.answers.map(verdictOf).filter((verdict) => verdict !== "nothing")).toEqual([]);
  expect(new Set(stream.answers.map(({ id }) => id)).size).toBe(1_000);
  expect(await effects()).toEqual({ applied: 1_000, distinct: 1_000 });
});

it("answers a small one that comes behind a large one before that", async () => {
  const stream = openStream(proxy.client);
  const long = "x".repeat(4_000_000);
  stream.send(item(1, { steps: [step("SELECT $1", { case: "textValue", value: long })] }));
  stream.send(item(2, { steps: [step("SELECT 1")] }));
  await waitFor(() => stream.answers.length === 2, { describe: "both answers" });
  expect(stream.answers.map(({ id }) => id)).toEqual([2n, 1n]);
  stream.halfClose();
  await stream.ended;
});

function effect(n: number) {
  return { ...identified(), steps: [step("INSERT INTO effects VALUES ($1)", int(n))] };
}

function replayed({ outcome }: TransactionStreamResponse): boolean | undefined {
  return outcome.case === "response" ? outcome.value.replayed : undefined;
}

/** How many effects there are now; from then on there are none. */
async function effects(): Promise<Record<string, unknown> | undefined> {
  const [row] = await proxy.sql(
    "WITH gone AS (DELETE FROM effects RETURNING n) SELECT count(*)::int AS applied, count(DISTINCT n)::int AS distinct FROM gone",
  );
  return row;
}
