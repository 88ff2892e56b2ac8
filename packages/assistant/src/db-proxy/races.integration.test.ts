import {
  DbProxy,
  ReceiptState,
  type TransactionResponse,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { createChannel, createClient } from "@tandem/rpc";
import { createTcpRelay, expectNoOpenTransactions } from "@tandem/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { identified } from "../testing/identified.ts";
import {
  createProxyFixture,
  failureOf,
  type ProxyFixture,
  type Replica,
  step,
  text,
} from "../testing/proxy-fixture.ts";

// Two instances on one database: each has its own link to PostgreSQL, which a test can hold.
let one: ProxyFixture;
let other: Replica;
beforeAll(async () => {
  one = await createProxyFixture({ settleTimeoutMs: 1_000 });
  other = await one.addReplica();
  await one.define("CREATE TABLE effects (request text NOT NULL); CREATE TABLE gate (open boolean NOT NULL)");
});
beforeEach(async () => {
  await one.sql("TRUNCATE effects, gate");
  await one.sql("INSERT INTO gate VALUES (true)");
});
afterEach(async () => {
  for (const { relay } of [one, other]) relay.resume();
  await expectNoOpenTransactions(one.databaseUrl);
});
afterAll(async () => {
  await other[Symbol.asyncDispose]();
  await one[Symbol.asyncDispose]();
});

/** A write that fails, with nothing to wait for, as soon as the gate is closed. */
function gated() {
  const { requestId, meta } = identified();
  const isOpen = { ...step("SELECT 1 FROM gate WHERE open"), minChanges: 1n };
  return { requestId, meta, steps: [step("INSERT INTO effects VALUES ($1)", text(requestId)), isOpen] };
}

type Gated = ReturnType<typeof gated>;

const closeGate = () => one.sql("UPDATE gate SET open = false");
const effectsOf = async ({ requestId }: Gated): Promise<number> =>
  (await one.sql(`SELECT 1 FROM effects WHERE request = '${requestId}'`)).length;

const BEFORE_THE_RECEIPT = "INSERT INTO tandem.receipts";
const BETWEEN_RECEIPT_AND_COMMIT = "COMMIT\0";

/** Sends a copy by `one`; when this resolves, its link has carried everything up to, and without, `point`. */
async function holdCopy(
  request: Gated,
  point: string,
): Promise<{ readonly copy: Promise<TransactionResponse> }> {
  const stall = (): void => one.relay.stall({ direction: "toServer" });
  const { fired } = one.relay.when({ direction: "toServer", contains: point }, stall);
  const copy = one.client.transaction(request);
  copy.catch(() => undefined);
  await fired;
  return { copy };
}

/** Resolves when somebody who fences waits for a copy that is about to commit. */
async function fenceWaits(): Promise<void> {
  const waiting = `SELECT 1 FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO tandem.receipts%refused%'`;
  await expect.poll(() => one.sql(waiting), { interval: 5 }).toHaveLength(1);
}

describe("a resend that fails while the first copy is held", () => {
  it("before its receipt: the resend settles it, and the first copy can't commit any more", async () => {
    const request = gated();
    const { copy } = await holdCopy(request, BEFORE_THE_RECEIPT);
    await closeGate();
    const failure = await failureOf(other.client.transaction({ ...request, attempt: 1 }));
    expect(failure).toMatchObject({ reason: "GUARD_UNMET", outcome: "NOT_COMMITTED" });
    one.relay.resume();
    expect(await failureOf(copy)).toMatchObject({ reason: "REQUEST_REFUSED", outcome: "NOT_COMMITTED" });
    expect(await effectsOf(request)).toBe(0);
  });

  it("between its receipt and its COMMIT: the resend waits, and is answered by what the copy commits", async () => {
    const request = gated();
    const { copy } = await holdCopy(request, BETWEEN_RECEIPT_AND_COMMIT);
    await closeGate();
    const resend = other.client.transaction({ ...request, attempt: 1 });
    await fenceWaits();
    one.relay.resume();
    expect(await copy).toMatchObject({ replayed: false });
    expect(await resend).toMatchObject({ replayed: true, committedAt: (await copy).committedAt });
    expect(await effectsOf(request)).toBe(1);
  });

  it("between its receipt and its COMMIT, and then lost: both are told that nothing is committed", async () => {
    const request = gated();
    const { copy } = await holdCopy(request, BETWEEN_RECEIPT_AND_COMMIT);
    await closeGate();
    const resend = failureOf(other.client.transaction({ ...request, attempt: 1 }));
    await fenceWaits();
    one.relay.cut();
    one.relay.resume();
    expect(await resend).toMatchObject({ reason: "GUARD_UNMET", outcome: "NOT_COMMITTED" });
    expect(await failureOf(copy)).toMatchObject({ reason: "REQUEST_REFUSED", outcome: "NOT_COMMITTED" });
    expect(await effectsOf(request)).toBe(0);
  });
});

describe("a fence while a copy is in flight", () => {
  it("refuses a copy that has not come to its receipt", async () => {
    const request = gated();
    const { copy } = await holdCopy(request, BEFORE_THE_RECEIPT);
    expect(await other.client.getReceipt({ ...request, fence: true })).toMatchObject({
      state: ReceiptState.REFUSED,
    });
    one.relay.resume();
    expect(await failureOf(copy)).toMatchObject({ reason: "REQUEST_REFUSED" });
    expect(await effectsOf(request)).toBe(0);
  });

  it("waits for a copy that has, and gives its answer", async () => {
    const request = gated();
    const { copy } = await holdCopy(request, BETWEEN_RECEIPT_AND_COMMIT);
    // A look alone would have said that there is nothing.
    expect(await other.client.getReceipt(request)).toMatchObject({ state: ReceiptState.NOT_FOUND });
    const receipt = other.client.getReceipt({ ...request, fence: true });
    await fenceWaits();
    one.relay.resume();
    const { committedAt } = await copy;
    expect(await receipt).toMatchObject({
      state: ReceiptState.COMMITTED,
      response: { committedAt, replayed: true },
    });
    expect(await effectsOf(request)).toBe(1);
  });

  it("says that the copy is in progress where it has waited in vain", async () => {
    const request = gated();
    const { copy } = await holdCopy(request, BETWEEN_RECEIPT_AND_COMMIT);
    const impatient = await one.addReplica({ lockTimeoutMs: 50, settleTimeoutMs: 300 });
    const late = failureOf(impatient.client.getReceipt({ ...request, fence: true }));
    expect(await late).toMatchObject({ reason: "REQUEST_IN_PROGRESS", outcome: "UNKNOWN", retryable: true });
    one.relay.resume();
    expect(await copy).toMatchObject({ replayed: false });
    await impatient[Symbol.asyncDispose]();
  });
});

describe("a second copy that comes to its receipt while the first is held before its COMMIT", () => {
  it.each([
    ["lock timeout", { lockTimeoutMs: 50 }, {}],
    ["statement timeout", {}, { statementTimeout: { nanos: 100_000_000 } }],
  ])("hears that it is in progress, whichever ends its wait: its %s", async (_, limits, options) => {
    const request = gated();
    const { copy } = await holdCopy(request, BETWEEN_RECEIPT_AND_COMMIT);
    const second = await one.addReplica(limits);
    for (const attempt of [0, 1]) {
      const failure = await failureOf(second.client.transaction({ ...request, ...options, attempt }));
      expect(failure).toMatchObject({ reason: "REQUEST_IN_PROGRESS", outcome: "UNKNOWN", retryable: true });
    }
    one.relay.resume();
    expect(await copy).toMatchObject({ replayed: false });
    expect(await effectsOf(request)).toBe(1);
    await second[Symbol.asyncDispose]();
  });

  it("has not used up the request_id, should the first be lost", async () => {
    const request = gated();
    const { copy } = await holdCopy(request, BETWEEN_RECEIPT_AND_COMMIT);
    const second = await one.addReplica({ lockTimeoutMs: 50 });
    await failureOf(second.client.transaction({ ...request, attempt: 1 }));
    one.relay.refuse();
    one.relay.cut();
    // Nobody could settle it: its own instance has lost the database.
    expect(await failureOf(copy)).toMatchObject({ reason: "COMMIT_OUTCOME_UNKNOWN" });
    expect(await second.client.transaction({ ...request, attempt: 2 })).toMatchObject({ replayed: false });
    await one.relay.accept();
    expect(await effectsOf(request)).toBe(1);
    await second[Symbol.asyncDispose]();
  });
});

describe("a copy that is late", () => {
  it("is not run when it arrives after the request was refused", async () => {
    const [host = "", port] = one.address.split(":");
    const link = await createTcpRelay({ target: { host, port: Number(port) } });
    const channel = createChannel({ address: link.address });
    const slow = createClient(DbProxy, channel);
    const request = gated();
    const arriving = link.when({ direction: "toServer", contains: request.requestId }, () => link.stall());
    const copy = failureOf(slow.transaction(request));
    await arriving.fired;
    expect(await other.client.getReceipt({ ...request, fence: true })).toMatchObject({
      state: ReceiptState.REFUSED,
    });
    link.resume();
    expect(await copy).toMatchObject({ reason: "REQUEST_REFUSED", outcome: "NOT_COMMITTED" });
    expect(await effectsOf(request)).toBe(0);
    channel.close();
    await link.close();
  });
});

describe("a connection that is lost during COMMIT", () => {
  it("after PostgreSQL committed: the caller gets the answer all the same", async () => {
    const request = gated();
    one.relay.when({ direction: "toClient", contains: "COMMIT\0" }, (connection) => connection.cut());
    expect(await one.client.transaction(request)).toMatchObject({ replayed: true });
    expect(await effectsOf(request)).toBe(1);
  });

  it("after PostgreSQL had said so: that is enough to know it", async () => {
    const request = gated();
    const said = { direction: "toClient", contains: "COMMIT\0", pass: true } as const;
    one.relay.when(said, (connection) => connection.cut());
    const answer = await one.client.transaction(request);
    expect(answer).toMatchObject({ replayed: false, writeToken: "" });
    expect(await effectsOf(request)).toBe(1);
  });

  it("before PostgreSQL had it: the caller is told that nothing is committed, ever", async () => {
    const request = gated();
    one.relay.when({ direction: "toServer", contains: BEFORE_THE_RECEIPT }, (connection) => connection.cut());
    const failure = await failureOf(one.client.transaction(request));
    expect(failure).toMatchObject({ reason: "REQUEST_REFUSED", outcome: "NOT_COMMITTED", retryable: false });
    expect(await effectsOf(request)).toBe(0);
  });

  it("with a PostgreSQL that can't be reached any more: the caller hears that nobody knows, and a resend tells", async () => {
    const request = gated();
    one.relay.when({ direction: "toClient", contains: "COMMIT\0" }, () => {
      one.relay.refuse();
      one.relay.cut();
    });
    const failure = await failureOf(one.client.transaction(request));
    expect(failure).toMatchObject({ reason: "COMMIT_OUTCOME_UNKNOWN", outcome: "UNKNOWN", retryable: true });
    await one.relay.accept();
    expect(await one.client.transaction({ ...request, attempt: 1 })).toMatchObject({ replayed: true });
    expect(await effectsOf(request)).toBe(1);
  });
});
