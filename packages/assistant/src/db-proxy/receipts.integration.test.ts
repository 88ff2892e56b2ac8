import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Isolation, ReceiptState } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { expectNoOpenTransactions } from "@tandem/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { identified, requestIdAt } from "../testing/identified.ts";
import {
  createProxyFixture,
  failureOf,
  int,
  type ProxyFixture,
  step,
  text,
} from "../testing/proxy-fixture.ts";

const HOUR_MS = 60 * 60_000;

let proxy: ProxyFixture;
beforeAll(async () => {
  proxy = await createProxyFixture({ statementTimeoutMs: 2_000, lockTimeoutMs: 200 });
  await proxy.define(`
    CREATE TABLE effects (request uuid NOT NULL, note text);
    CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL)`);
});
beforeEach(async () => {
  await proxy.sql("TRUNCATE effects, account");
  await proxy.sql("INSERT INTO account VALUES (1, 100)");
});
afterEach(() => expectNoOpenTransactions(proxy.databaseUrl));
afterAll(() => proxy[Symbol.asyncDispose]());

const effect = (note = "once") =>
  step("INSERT INTO effects VALUES (gen_random_uuid(), $1) RETURNING note", text(note));
const spend = (amount: number) => ({
  ...step("UPDATE account SET balance = balance - $1 WHERE balance >= $1", int(amount)),
  minChanges: 1n,
});
const effects = async (): Promise<number> => (await proxy.sql("SELECT 1 FROM effects")).length;

describe("a request that is sent again", () => {
  it("gets the first answer, and nothing is applied twice", async () => {
    const request = { steps: [effect(), spend(10)], ...identified() };
    const first = await proxy.client.transaction(request);
    const second = await proxy.client.transaction({ ...request, attempt: 1 });
    expect(first.replayed).toBe(false);
    expect(second).toEqual({ ...first, replayed: true, writeToken: second.writeToken });
    expect(second.writeToken).toMatch(/^1\.\d+\.\d+\.\d+$/);
    expect(await proxy.sql("SELECT balance FROM account")).toEqual([{ balance: 90 }]);
    expect(await effects()).toBe(1);
  });

  it("gets the first answer even where its caller says that it is the first", async () => {
    const request = { steps: [spend(60)], ...identified() };
    await proxy.client.transaction(request);
    expect(await proxy.client.transaction(request)).toMatchObject({
      replayed: true,
      results: [{ changes: 1n }],
    });
    const unguarded = { steps: [effect()], ...identified() };
    await proxy.client.transaction(unguarded);
    expect(await proxy.client.transaction(unguarded)).toMatchObject({ replayed: true });
    expect(await effects()).toBe(1);
  });

  it("may differ in what isn't part of the write: its timeouts, who sends it, when it expires", async () => {
    const request = { steps: [effect()], ...identified() };
    await proxy.client.transaction(request);
    const other = {
      ...request,
      attempt: 3,
      statementTimeout: { seconds: 1n },
      meta: { ...request.meta, sourceInstanceId: "another" },
      expireTime: timestampFromDate(new Date(Date.now() + HOUR_MS)),
    };
    expect(await proxy.client.transaction(other)).toMatchObject({ replayed: true });
  });

  it.each([
    ["steps", { steps: [effect("other")] }],
    ["number of steps", { steps: [effect(), effect()] }],
    ["isolation", { isolation: Isolation.SERIALIZABLE }],
    ["key", { serializationKey: "account 1" }],
  ])("is refused as another one where its %s differ", async (_, difference) => {
    const request = { steps: [effect()], ...identified() };
    await proxy.client.transaction(request);
    for (const attempt of [0, 1]) {
      const failure = await failureOf(proxy.client.transaction({ ...request, ...difference, attempt }));
      expect(failure).toMatchObject({ reason: "REQUEST_ID_REUSED", retryable: false });
    }
    expect(await effects()).toBe(1);
  });

  it("runs afresh where the first send was rolled back", async () => {
    const request = { steps: [effect(), spend(500)], ...identified() };
    expect(await failureOf(proxy.client.transaction(request))).toMatchObject({
      reason: "GUARD_UNMET",
      outcome: "NOT_COMMITTED",
    });
    await proxy.sql("UPDATE account SET balance = 1000");
    const response = await proxy.client.transaction({ ...request, attempt: 1 });
    expect(response).toMatchObject({ replayed: false });
    expect(await effects()).toBe(1);
  });

  it("is settled for good when it fails, and says so of every later copy", async () => {
    const request = { steps: [effect(), spend(500)], ...identified() };
    expect(await failureOf(proxy.client.transaction({ ...request, attempt: 1 }))).toMatchObject({
      reason: "GUARD_UNMET",
      outcome: "NOT_COMMITTED",
      step: 1,
      guard: { actualChanges: 0n, minChanges: 1n },
    });
    await proxy.sql("UPDATE account SET balance = 1000");
    for (const attempt of [0, 1, 2]) {
      const failure = await failureOf(proxy.client.transaction({ ...request, attempt }));
      expect(failure).toMatchObject({
        reason: "REQUEST_REFUSED",
        outcome: "NOT_COMMITTED",
        retryable: false,
      });
    }
    expect(await effects()).toBe(0);
  });

  it("is not settled by a failure that may pass", async () => {
    const request = { steps: [effect(), spend(10)], ...identified() };
    const blocker = proxy.sql("BEGIN; SELECT * FROM account FOR UPDATE; SELECT pg_sleep(0.6); COMMIT");
    await expect
      .poll(() =>
        proxy.sql(
          "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'BEGIN; SELECT * FROM acc%' AND wait_event = 'PgSleep'",
        ),
      )
      .toHaveLength(1);
    expect(await failureOf(proxy.client.transaction({ ...request, attempt: 1 }))).toMatchObject({
      reason: "LOCK_TIMEOUT",
      outcome: "UNKNOWN",
      retryable: true,
    });
    await blocker;
    expect(await proxy.client.transaction({ ...request, attempt: 2 })).toMatchObject({ replayed: false });
  });

  it("is answered without its rows where they were too large to be kept", async () => {
    const large = step("SELECT repeat('x', 70000) AS x FROM generate_series(1, 2)");
    const request = { steps: [effect(), large], ...identified() };
    const first = await proxy.client.transaction(request);
    expect(first).toMatchObject({ rowsOmitted: false, results: [{}, { rows: { length: 2 } }] });
    const second = await proxy.client.transaction({ ...request, attempt: 1 });
    expect(second).toMatchObject({
      replayed: true,
      rowsOmitted: true,
      committedAt: first.committedAt,
      results: [
        { changes: 1n, columns: [], rows: [] },
        { changes: 2n, columns: [], rows: [] },
      ],
    });
  });
});

describe("a receipt", () => {
  it("tells where the write came from, and when it was wanted", async () => {
    const { requestId, meta } = identified();
    await proxy.client.transaction({ steps: [effect()], requestId, meta });
    const rows = await proxy.sql(
      `SELECT caller, state, source_instance_id, settled_at >= requested_at - interval '1 second' AS later
       FROM tandem.receipts WHERE request_id = '${requestId}'`,
    );
    expect(rows).toEqual([
      { caller: "anonymous", state: "committed", source_instance_id: "test", later: true },
    ]);
  });

  it.each([
    "SELECT response FROM tandem.receipts",
    `SELECT 1 WHERE EXISTS (WITH r AS (SELECT * FROM "tandem"."receipts") SELECT * FROM r)`,
    "UPDATE tandem.write_keys SET uses = 0",
    "INSERT INTO tandem.receipts SELECT * FROM tandem.receipts",
  ])("is out of a step's reach: %s", async (sql) => {
    expect(await failureOf(proxy.transaction([step(sql)]))).toMatchObject({
      reason: "STATEMENT_NOT_ALLOWED",
    });
    const literal = step(`SELECT '"schemaname":"tandem"' AS tandem`);
    expect(await proxy.transaction([literal])).toMatchObject({ results: [{ changes: 1n }] });
  });

  it("is not left by a transaction that is only checked", async () => {
    const request = { steps: [effect()], ...identified() };
    await proxy.client.transaction({ ...request, validateOnly: true });
    expect(await proxy.client.getReceipt(request)).toMatchObject({ state: ReceiptState.NOT_FOUND });
    expect(await effects()).toBe(0);
  });

  it("can be asked for, with the answer", async () => {
    const request = { steps: [effect()], ...identified() };
    const first = await proxy.client.transaction(request);
    for (const fence of [false, true]) {
      const { state, response } = await proxy.client.getReceipt({ requestId: request.requestId, fence });
      expect(state).toBe(ReceiptState.COMMITTED);
      expect(response).toEqual({ ...first, replayed: true, writeToken: response?.writeToken });
    }
  });

  it("settles a request that never came, so that a copy which comes late is not run", async () => {
    const request = { steps: [effect()], ...identified() };
    expect(await proxy.client.getReceipt(request)).toMatchObject({ state: ReceiptState.NOT_FOUND });
    expect(await proxy.client.getReceipt({ ...request, fence: true })).toMatchObject({
      state: ReceiptState.REFUSED,
    });
    expect(await proxy.client.getReceipt(request)).toMatchObject({ state: ReceiptState.REFUSED });
    expect(await failureOf(proxy.client.transaction(request))).toMatchObject({ reason: "REQUEST_REFUSED" });
    expect(await effects()).toBe(0);
  });

  it("is of no use once it is older than they are kept", async () => {
    const requestId = requestIdAt(Date.now() - 25 * HOUR_MS);
    const answer = await proxy.client.getReceipt({ requestId, fence: true });
    expect(answer).toMatchObject({ state: ReceiptState.EXPIRED });
  });
});

describe("an identity that can't be accepted", () => {
  const now = Date.now();
  it.each([
    ["an id of another version", { requestId: "0198e5a0-0000-4000-8000-000000000001" }, "INVALID_REQUEST"],
    ["an id that is none", { requestId: "1" }, "INVALID_REQUEST"],
    ["an id of the future", { requestId: requestIdAt(now + 10 * 60_000) }, "INVALID_REQUEST"],
    ["no time", { meta: { sourceInstanceId: "test" } }, "INVALID_REQUEST"],
    [
      "a time of the future",
      { meta: { requestedAt: timestampFromDate(new Date(now + 10 * 60_000)) } },
      "INVALID_REQUEST",
    ],
    ["a negative attempt", { attempt: -1 }, "INVALID_REQUEST"],
    [
      "an instance's name without end",
      { meta: { ...identified().meta, sourceInstanceId: "x".repeat(300) } },
      "INVALID_REQUEST",
    ],
    ["an id that is too old", { requestId: requestIdAt(now - 25 * HOUR_MS) }, "REQUEST_ID_EXPIRED"],
    [
      "a request that is too old",
      { meta: { requestedAt: timestampFromDate(new Date(now - 25 * HOUR_MS)) } },
      "REQUEST_ID_EXPIRED",
    ],
    [
      "a request that has expired",
      { expireTime: timestampFromDate(new Date(now - 1)) },
      "REQUEST_ID_EXPIRED",
    ],
  ])("is refused, unexecuted: %s", async (_, difference, reason) => {
    const request = { steps: [effect()], ...identified(), ...difference };
    expect(await failureOf(proxy.client.transaction(request))).toMatchObject({
      reason,
      outcome: "NOT_COMMITTED",
      retryable: false,
    });
    expect(await effects()).toBe(0);
  });

  it("says that nobody knows of a resend that another server's clock may have let in", async () => {
    const request = { steps: [effect()], ...identified(requestIdAt(Date.now() + 10 * 60_000)), attempt: 1 };
    expect(await failureOf(proxy.client.transaction(request))).toMatchObject({
      reason: "INVALID_REQUEST",
      outcome: "UNKNOWN",
    });
  });

  it("says that nobody knows of a resend whose receipts are gone", async () => {
    const request = { steps: [effect()], ...identified(requestIdAt(Date.now() - 25 * HOUR_MS)), attempt: 1 };
    expect(await failureOf(proxy.client.transaction(request))).toMatchObject({
      reason: "REQUEST_ID_EXPIRED",
      outcome: "UNKNOWN",
    });
  });
});
