import { once } from "node:events";
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type GetReceiptRequest,
  type GetReceiptResponseSchema,
  ReceiptState,
  type TransactionRequest,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { HandlerError, type HandlerContext, StatusCode } from "@tandem/rpc";
import { trackLeaks, waitFor } from "@tandem/testkit";
import { afterAll, describe, expect, it } from "vitest";
import { newRequestId, requestIdOf } from "./request-id.ts";
import { sql } from "./sql.ts";
import { startRelayedOwner, type RelayedOwner } from "./testing/relayed-owner.ts";

const leaks = trackLeaks();
afterAll(() => leaks.expectNoLeaks());

const steps = () => [sql`INSERT INTO t VALUES (${1})`] as const;
const failure = (call: Promise<unknown>): Promise<unknown> => call.catch((error: unknown) => error);
const quick = { minRetryDelayMs: 5, maxRetryDelayMs: 20 };
const written = { results: [{ changes: 1n }], writeToken: "written" };

type Receipt = MessageInitShape<typeof GetReceiptResponseSchema>;
type SettlingOwner = RelayedOwner & { readonly asked: readonly GetReceiptRequest[] };

/** An owner that does this with a transaction, and tells that when it is asked for its receipt. */
async function startOwner(
  transaction: (
    request: TransactionRequest,
    context: HandlerContext,
  ) => typeof written | Promise<typeof written>,
  tell: (asked: number) => Receipt,
  retryLimits: object = quick,
): Promise<SettlingOwner> {
  const asked: GetReceiptRequest[] = [];
  const getReceipt = (request: GetReceiptRequest): Receipt => tell(asked.push(request));
  const owner = await startRelayedOwner({ handlers: { transaction, getReceipt }, client: { retryLimits } });
  return { ...owner, asked };
}

function fails(): never {
  throw new HandlerError({ reason: "HANDLER_FAILED", message: "A bug." });
}

const committed = (): Receipt => ({ state: ReceiptState.COMMITTED, response: written });
const refused = (): Receipt => ({ state: ReceiptState.REFUSED });

describe("a transaction whose outcome is unknown", () => {
  it("is settled with a fence before its caller hears of it: as committed, with what it did", async () => {
    await using owner = await startOwner(fails, committed);
    const { results, replayed, writeToken } = await owner.db.transaction(steps());
    expect({ changes: results[0].changes, replayed, writeToken }).toEqual({
      changes: 1n,
      replayed: true,
      writeToken: "written",
    });
    expect(owner.asked).toMatchObject([{ requestId: owner.transactions[0]?.requestId, fence: true }]);
  });

  it("is settled as refused: REQUEST_REFUSED, since what might have passed can't any more, with its cause", async () => {
    const unsettled = new HandlerError({
      reason: "COMMIT_OUTCOME_UNKNOWN",
      message: "The connection was lost.",
    });
    await using owner = await startOwner(() => Promise.reject(unsettled), refused);
    const error = await failure(owner.db.transaction(steps()));
    expect(error).toMatchObject({
      name: "HandlerError",
      reason: "REQUEST_REFUSED",
      outcome: "NOT_COMMITTED",
      retryable: false,
      retryAfterMs: undefined,
      code: StatusCode.ABORTED,
      cause: { reason: "COMMIT_OUTCOME_UNKNOWN", outcome: "UNKNOWN" },
    });
    expect(requestIdOf(error)).toBe(owner.transactions[4]?.requestId);
    expect(owner.asked).toHaveLength(1);
  });

  it("is not settled while a copy of it is running, as long as there is time", async () => {
    let sends = 0;
    const running = new HandlerError({ reason: "REQUEST_IN_PROGRESS", message: "Running.", retryAfterMs: 1 });
    const answer = { results: [{ changes: 1n }], writeToken: "", replayed: true };
    await using owner = await startOwner(() => (++sends < 8 ? Promise.reject(running) : answer), refused);
    expect(await owner.db.transaction(steps(), { timeoutMs: 20_000 })).toMatchObject({ replayed: true });
    expect(owner.asked).toHaveLength(0);
  }, 30_000);

  it("is settled as refused where no handler spoke: REQUEST_REFUSED, and why it was asked", async () => {
    await using owner = await startOwner(
      (_, { signal }) => silence(signal, () => owner.relay.cut()),
      refused,
    );
    expect(await failure(owner.db.transaction(steps()))).toMatchObject({
      name: "HandlerError",
      reason: "REQUEST_REFUSED",
      outcome: "NOT_COMMITTED",
      retryable: false,
      code: StatusCode.ABORTED,
      cause: { name: "TransportError", sent: "maybe" },
    });
  });

  it.each(["the call's", "the handler's on whose behalf it is made"])(
    "is settled in the time that was kept for it, where the owner is silent: of a deadline that is %s",
    async (whose) => {
      const half = { settlingShare: 0.5 };
      await using owner = await startOwner((_, { signal }) => silence(signal), committed, half);
      const started = performance.now();
      const context = {
        callId: "0197-call",
        deadline: new Date(Date.now() + 1_000),
        signal: new AbortController().signal,
      };
      const options = whose === "the call's" ? { timeoutMs: 1_000 } : { context };
      expect(await owner.db.transaction(steps(), options)).toMatchObject({ replayed: true });
      expect(performance.now() - started).toBeGreaterThan(450);
      expect(performance.now() - started).toBeLessThan(1_000);
    },
  );

  it.each([
    { timeoutMs: 2_000, keptMs: 200 },
    { timeoutMs: 60_000, keptMs: 1_000 },
  ])("has a part of its time kept for that: of $timeoutMs ms, $keptMs", async ({ timeoutMs, keptMs }) => {
    await using owner = await startOwner(() => written, committed);
    const before = Date.now();
    await owner.db.transaction(steps(), { timeoutMs });
    const sendMs = (owner.contexts[0]?.deadline?.getTime() ?? 0) - before;
    expect(Math.abs(sendMs - (timeoutMs - keptMs))).toBeLessThan(100);
    // What is rolled back in any case needs no settling.
    await owner.db.transaction(steps(), { timeoutMs, validateOnly: true });
    expect((owner.contexts[1]?.deadline?.getTime() ?? 0) - before).toBeGreaterThan(timeoutMs - 100);
  });

  it("stays unknown where the id is too old for anyone to know what an earlier send of it did", async () => {
    const requestId = newRequestId();
    await using owner = await startOwner(
      () => {
        throw new HandlerError({ reason: "REQUEST_ID_EXPIRED", message: "Too old." });
      },
      () => ({ state: ReceiptState.EXPIRED }),
    );
    const error = await failure(owner.db.transaction(steps(), { requestId }));
    expect(error).toMatchObject({ reason: "REQUEST_ID_EXPIRED", outcome: "UNKNOWN", requestId });
  });

  it("asks for the receipt again while there is time", async () => {
    await using owner = await startOwner(fails, (asked) => {
      if (asked === 1)
        throw new HandlerError({ reason: "DATABASE_UNAVAILABLE", message: "Away.", retryAfterMs: 1 });
      if (asked === 2) owner.relay.cut();
      return committed();
    });
    expect(await owner.db.transaction(steps())).toMatchObject({ replayed: true });
    expect(owner.asked.length).toBe(3);
  });

  it.each<{ what: string; tell: () => Receipt }>([
    { what: "has expired", tell: () => ({ state: ReceiptState.EXPIRED }) },
    { what: "has no state that this client knows", tell: () => ({ state: 99 as never }) },
    { what: "has no result", tell: () => ({ state: ReceiptState.COMMITTED }) },
    {
      what: "can't be had",
      tell: () => {
        throw new HandlerError({ reason: "METHOD_NOT_ALLOWED", message: "No." });
      },
    },
  ])("stays unknown, with the call's own error, where the receipt $what", async ({ tell }) => {
    await using owner = await startOwner(fails, tell);
    const error = await failure(owner.db.transaction(steps()));
    expect(error).toMatchObject({ reason: "HANDLER_FAILED", outcome: "UNKNOWN" });
    expect(requestIdOf(error)).toBe(owner.transactions[0]?.requestId);
    expect(owner.asked).toHaveLength(1);
  });

  it("stays unknown until the deadline at the latest, where the owner is gone", async () => {
    await using owner = await startOwner(
      (_, { signal }) =>
        silence(signal, () => {
          owner.relay.refuse();
          owner.relay.cut();
        }),
      committed,
    );
    const started = performance.now();
    const error = await failure(owner.db.transaction(steps(), { timeoutMs: 500 }));
    expect(performance.now() - started).toBeLessThan(700);
    // The last sends did not leave; what happened to the first, nobody knows.
    expect(error).toMatchObject({ name: "TransportError", sent: "maybe", cause: { sent: "no" } });
    expect(String(error)).toMatch(/earlier one.*The request may have been sent\.$/);
    expect(requestIdOf(error)).toBe(owner.transactions[0]?.requestId);
  });

  it("is not settled for a caller who has left, and hears of its own call at once", async () => {
    const caller = new AbortController();
    await using owner = await startOwner((_, { signal }) => silence(signal, () => caller.abort()), committed);
    expect(await failure(owner.db.transaction(steps(), { signal: caller.signal }))).toMatchObject({
      code: StatusCode.CANCELLED,
      sent: "maybe",
    });
    expect(owner.asked).toEqual([]);
  });

  it("ends the settling with the caller's interest in it", async () => {
    const caller = new AbortController();
    await using owner = await startOwner(fails, () => {
      caller.abort();
      throw new HandlerError({ reason: "DATABASE_UNAVAILABLE", message: "Away." });
    });
    expect(await failure(owner.db.transaction(steps(), { signal: caller.signal }))).toMatchObject({
      reason: "HANDLER_FAILED",
      outcome: "UNKNOWN",
    });
    expect(owner.asked).toHaveLength(1);
  });
});

describe("a word on one send alone", () => {
  it("is not taken for one on the request, of which an earlier send may have been applied", async () => {
    let sends = 0;
    await using owner = await startOwner((_, { signal }) => {
      sends += 1;
      if (sends === 1) return silence(signal, () => owner.relay.cut());
      throw new HandlerError({ reason: "UNAUTHENTICATED", message: "Who are you?" });
    }, committed);
    expect(await owner.db.transaction(steps())).toMatchObject({ replayed: true });
    expect(owner.transactions).toHaveLength(2);
  });

  it("becomes unknown where the request's fate can't be learned", async () => {
    await using owner = await startOwner(() => {
      throw new HandlerError({ reason: "OVERLOADED", message: "Full.", retryAfterMs: 1 });
    }, fails);
    const error = await failure(owner.db.transaction(steps(), { requestId: newRequestId() }));
    expect(error).toMatchObject({
      reason: "OVERLOADED",
      outcome: "UNKNOWN",
      retryable: true,
      retryAfterMs: 1,
    });
    // Of a first send it is the truth about the request.
    expect(await failure(owner.db.transaction(steps()))).toMatchObject({
      reason: "OVERLOADED",
      outcome: "NOT_COMMITTED",
    });
    expect(owner.asked).toHaveLength(1);
  });

  it("that nobody has read leaves a first send without effect, and anything else unknown", async () => {
    const identity = { allowPlaintext: true, plaintextCaller: "stranger", rules: {} };
    await using owner = await startRelayedOwner({ identity });
    const refusal = { reason: "METHOD_NOT_ALLOWED", retryable: false };
    const first = { ...refusal, outcome: "NOT_COMMITTED" };
    expect(await failure(owner.db.transaction(steps()))).toMatchObject(first);
    expect(await failure(owner.db.transaction(steps(), { validateOnly: true }))).toMatchObject(first);
    const options = { requestId: newRequestId() };
    expect(await failure(owner.db.transaction(steps(), options))).toMatchObject({
      ...refusal,
      outcome: "UNKNOWN",
    });
    expect(owner.transactions).toEqual([]);
  });

  it("of an id that stands for other steps never gives their result", async () => {
    await using owner = await startOwner(() => {
      throw new HandlerError({ reason: "REQUEST_ID_REUSED", message: "Other steps." });
    }, committed);
    await expect(owner.db.transaction(steps(), { requestId: newRequestId() })).rejects.toMatchObject({
      reason: "REQUEST_ID_REUSED",
    });
    expect(owner.asked).toEqual([]);
  });

  it("that it never left is not said of an id that the caller may have sent in an earlier life", async () => {
    await using owner = await startOwner(fails, committed);
    owner.relay.refuse();
    const options = { timeoutMs: 300, requestId: newRequestId() };
    expect(await failure(owner.db.transaction(steps(), options))).toMatchObject({ sent: "maybe" });
    expect(await failure(owner.db.transaction(steps(), { timeoutMs: 300 }))).toMatchObject({ sent: "no" });
    await owner.relay.accept();
    await waitFor(async () => (await owner.db.transaction(steps(), options)).replayed, {
      describe: "the owner to be back",
    });
  });
});

/** Gives no answer; the call ends when its caller is gone. */
async function silence(signal: AbortSignal, meanwhile: () => void = () => {}): Promise<never> {
  meanwhile();
  if (!signal.aborted) await once(signal, "abort");
  throw signal.reason;
}
