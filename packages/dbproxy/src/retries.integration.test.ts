import { toBinary } from "@bufbuild/protobuf";
import {
  type TransactionRequest,
  TransactionRequestSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { HandlerError, type Reason, StatusCode } from "@tandem/rpc";
import { trackLeaks, waitFor } from "@tandem/testkit";
import { afterAll, describe, expect, it } from "vitest";
import { newRequestId, requestIdOf, requestIdTime } from "./request-id.ts";
import { sql } from "./sql.ts";
import { startRecordingOwner } from "./testing/recording-owner.ts";
import { startRelayedOwner } from "./testing/relayed-owner.ts";

const leaks = trackLeaks();
afterAll(() => leaks.expectNoLeaks());

const steps = () => [sql`INSERT INTO t VALUES (${"a"}, ${1})`] as const;
/** For tests that are not about the delays. */
const quick = { retryLimits: { minRetryDelayMs: 5, maxRetryDelayMs: 20 } };
const failure = (call: Promise<unknown>): Promise<unknown> => call.catch((error: unknown) => error);

/** A handler that fails with these, one after the other, and then answers. */
function failing(...reasons: readonly (Reason | HandlerError)[]) {
  const left = [...reasons];
  return (): { writeToken: string; results: { changes: bigint }[] } => {
    const reason = left.shift();
    if (reason === undefined) return { writeToken: "written", results: [{ changes: 1n }] };
    throw reason instanceof HandlerError ? reason : new HandlerError({ reason, message: "Not now." });
  };
}

function withoutAttempt(request: TransactionRequest): Uint8Array {
  return toBinary(TransactionRequestSchema, { ...request, attempt: 0 });
}

describe("a transaction is sent again", () => {
  it("the same to the byte but for its attempt, where the owner says that it may fare better later", async () => {
    const transaction = failing("OVERLOADED", "COMMIT_OUTCOME_UNKNOWN", "REQUEST_IN_PROGRESS");
    await using owner = await startRecordingOwner({ handlers: { transaction }, client: quick });
    const options = { serializationKey: "account 1", isolation: "serializable" } as const;
    const { writeToken } = await owner.db.transaction(steps(), options);
    expect(writeToken).toBe("written");
    expect(owner.transactions.map(({ attempt }) => attempt)).toEqual([0, 0, 1, 2]);
    const [first, ...others] = owner.transactions.map(withoutAttempt);
    for (const other of others) expect(other).toEqual(first);
    const [request] = owner.transactions;
    expect(request?.serializationKey).toBe("account 1");
    expect(Number(request?.meta?.requestedAt?.seconds)).toBe(
      Math.floor(requestIdTime(request?.requestId ?? "") / 1_000),
    );
  });

  it("no sooner than the owner asks", async () => {
    const busy = new HandlerError({ reason: "OVERLOADED", message: "Not now.", retryAfterMs: 400 });
    await using owner = await startRecordingOwner({ handlers: { transaction: failing(busy) } });
    const started = performance.now();
    await owner.db.transaction(steps());
    expect(performance.now() - started).toBeGreaterThan(395);
  });

  it("as often as the client's limits say, and then fails as the last send did", async () => {
    const reasons: Reason[] = [
      "OVERLOADED",
      "LOCK_TIMEOUT",
      "DEADLOCK",
      "OVERLOADED",
      "SERIALIZATION_FAILURE",
    ];
    await using owner = await startRecordingOwner({ handlers: { transaction: failing(...reasons) } });
    const error = await failure(owner.db.transaction(steps()));
    expect(error).toMatchObject({ reason: "SERIALIZATION_FAILURE", outcome: "NOT_COMMITTED" });
    expect(requestIdOf(error)).toBe(owner.transactions[0]?.requestId);
    expect(owner.transactions).toHaveLength(5);
  });

  it("only while the call's time lasts", async () => {
    const busy = new HandlerError({ reason: "OVERLOADED", message: "Not now.", retryAfterMs: 5_000 });
    await using owner = await startRecordingOwner({ handlers: { transaction: failing(busy) } });
    const started = performance.now();
    await expect(owner.db.transaction(steps(), { timeoutMs: 3_000 })).rejects.toMatchObject({
      reason: "OVERLOADED",
    });
    expect(performance.now() - started).toBeLessThan(1_000);
    expect(owner.transactions).toHaveLength(1);
  });

  it("where it could not leave, as the first send that it then is", async () => {
    await using owner = await startRelayedOwner();
    owner.relay.refuse();
    const call = owner.db.transaction(steps());
    setTimeout(() => void owner.relay.accept(), 100);
    expect((await call).replayed).toBe(false);
    expect(owner.transactions).toMatchObject([{ attempt: 0 }]);
  });

  it("where the answer was lost on the way, as one that may have arrived before", async () => {
    await using owner = await startRelayedOwner({ handlers: { transaction: failing() } });
    const cut = owner.relay.when({ direction: "toClient", contains: "written" }, (link) => link.cut());
    await owner.db.transaction(steps());
    await cut.fired;
    expect(owner.transactions.map(({ attempt }) => attempt)).toEqual([0, 1]);
    const [first, second] = owner.transactions.map(withoutAttempt);
    expect(second).toEqual(first);
  });

  it("under a new id, where its own is spent and nothing is there under it", async () => {
    const transaction = failing("COMMIT_OUTCOME_UNKNOWN", "REQUEST_REFUSED", "OVERLOADED");
    await using owner = await startRecordingOwner({ handlers: { transaction }, client: quick });
    await owner.db.transaction(steps());
    const [first, second, third, fourth] = owner.transactions;
    expect(owner.transactions.map(({ attempt }) => attempt)).toEqual([0, 1, 0, 0]);
    expect(second?.requestId).toBe(first?.requestId);
    expect(third?.requestId).not.toBe(first?.requestId);
    expect(fourth?.requestId).toBe(third?.requestId);
    expect(third?.meta).toEqual(first?.meta);
  });

  it("not under a new id more often than it is tried again at all; the error names the last id sent", async () => {
    const transaction = failing(...Array.from({ length: 9 }, () => "REQUEST_REFUSED" as const));
    await using owner = await startRecordingOwner({ handlers: { transaction }, client: quick });
    const error = await failure(owner.db.transaction(steps()));
    expect(error).toMatchObject({ reason: "REQUEST_REFUSED", outcome: "NOT_COMMITTED" });
    expect(new Set(owner.transactions.map(({ requestId }) => requestId)).size).toBe(5);
    expect(requestIdOf(error)).toBe(owner.transactions[4]?.requestId);
  });

  it("without an id, where it is only to be validated", async () => {
    const transaction = failing("OVERLOADED", "COMMIT_OUTCOME_UNKNOWN");
    await using owner = await startRecordingOwner({ handlers: { transaction }, client: quick });
    await owner.db.transaction(steps(), { validateOnly: true });
    const sent = { requestId: "", attempt: 0, validateOnly: true };
    expect(owner.transactions).toMatchObject([sent, sent, sent]);
  });
});

describe("a transaction is not sent again", () => {
  it.each<Reason>(["GUARD_UNMET", "UNIQUE_VIOLATION", "STATEMENT_NOT_ALLOWED", "STATEMENT_TIMEOUT"])(
    "where the owner decided: %s",
    async (reason) => {
      await using owner = await startRecordingOwner({ handlers: { transaction: failing(reason) } });
      const error = await failure(owner.db.transaction(steps()));
      expect(error).toMatchObject({ reason, outcome: "NOT_COMMITTED" });
      expect(requestIdOf(error)).toBe(owner.transactions[0]?.requestId);
      expect(owner.transactions).toHaveLength(1);
    },
  );

  it("where it is too large to be sent, however often", async () => {
    await using owner = await startRecordingOwner({ client: { limits: { maxRequestBytes: 1_000 } } });
    const started = performance.now();
    await expect(owner.db.transaction([sql`SELECT ${"x".repeat(2_000)}`])).rejects.toMatchObject({
      code: StatusCode.RESOURCE_EXHAUSTED,
      sent: "no",
    });
    expect(performance.now() - started).toBeLessThan(50);
  });

  it("once the caller has left, who needn't wait for the end of a delay", async () => {
    const busy = new HandlerError({ reason: "OVERLOADED", message: "Not now.", retryAfterMs: 5_000 });
    await using owner = await startRecordingOwner({ handlers: { transaction: failing(busy) } });
    const caller = new AbortController();
    const call = failure(owner.db.transaction(steps(), { signal: caller.signal }));
    await waitFor(() => owner.transactions.length === 1, { describe: "the first send" });
    const left = performance.now();
    // In the delay, whose beginning can't be seen from outside.
    setTimeout(() => caller.abort(), 50);
    expect(await call).toMatchObject({ code: StatusCode.CANCELLED, sent: "no" });
    expect(performance.now() - left).toBeLessThan(1_000);
    expect(owner.transactions).toHaveLength(1);
  });

  it("once the client was closed", async () => {
    const busy = new HandlerError({ reason: "OVERLOADED", message: "Not now.", retryAfterMs: 5_000 });
    await using owner = await startRecordingOwner({ handlers: { transaction: failing(busy) } });
    const call = failure(owner.db.transaction(steps()));
    await waitFor(() => owner.transactions.length === 1, { describe: "the first send" });
    const closed = performance.now();
    setTimeout(() => owner.db.close(), 50);
    expect(await call).toMatchObject({ name: "TransportError", sent: "no" });
    expect(performance.now() - closed).toBeLessThan(1_000);
  });

  it("where the client's budget is used up, until other calls have added to it", async () => {
    const transaction = (): never => {
      throw new HandlerError({ reason: "OVERLOADED", message: "Not now.", retryAfterMs: 1 });
    };
    const retryLimits = { retryBurst: 6, retriesPerCall: 0.1, minRetryDelayMs: 1, maxRetryDelayMs: 2 };
    await using owner = await startRecordingOwner({ handlers: { transaction }, client: { retryLimits } });
    for (let call = 0; call < 40; call += 1) await failure(owner.db.transaction(steps()));
    expect(owner.transactions.length).toBeGreaterThanOrEqual(40 + 6 + 2);
    expect(owner.transactions.length).toBeLessThanOrEqual(40 + 6 + 4);
  });
});

describe("a request_id that the caller brought", () => {
  it("is sent as one that may have arrived before, and spares nobody the truth about it", async () => {
    const transaction = failing("DRAINING", "REQUEST_REFUSED");
    await using owner = await startRecordingOwner({ handlers: { transaction }, client: quick });
    const requestId = newRequestId();
    const call = owner.db.transaction(steps(), { requestId: requestId.toUpperCase() });
    await expect(call).rejects.toMatchObject({ reason: "REQUEST_REFUSED", requestId });
    expect(owner.transactions).toMatchObject([
      { requestId, attempt: 1 },
      { requestId, attempt: 2 },
    ]);
    expect(owner.transactions[0]?.meta?.requestedAt).toMatchObject({
      seconds: BigInt(Math.floor(requestIdTime(requestId) / 1_000)),
      nanos: (requestIdTime(requestId) % 1_000) * 1_000_000,
    });
  });
});

describe("a read is asked again", () => {
  it.each(["query", "probe"] as const)("of %s, within the same bounds", async (method) => {
    let asked = 0;
    const handler = () => {
      asked += 1;
      if (asked % 3 !== 0)
        throw new HandlerError({ reason: "DRAINING", message: "Not now.", retryAfterMs: 1 });
      return { role: 1 };
    };
    const retryLimits = { minRetryDelayMs: 1, maxRetries: 2, retryBurst: 3, retriesPerCall: 0 };
    await using owner = await startRecordingOwner({
      handlers: { [method]: handler },
      client: { retryLimits },
    });
    const call = () => (method === "query" ? owner.db.query(sql`SELECT 1`) : owner.db.probe());
    await call();
    expect(asked).toBe(3);
    // One retry is left.
    await expect(call()).rejects.toMatchObject({ reason: "DRAINING" });
    expect(asked).toBe(5);
  });

  it("where its answer was lost", async () => {
    await using owner = await startRelayedOwner();
    const cut = owner.relay.when({ direction: "toClient", contains: "s3cret" }, (link) => link.cut());
    const { rows } = await owner.db.query(sql`SELECT ${"s3cret"}`);
    await cut.fired;
    expect(rows).toEqual([{ p1: "s3cret" }]);
    expect(owner.queries).toHaveLength(2);
  });
});
