import { HandlerError, TransportError, whenAborted } from "@tandem/rpc";
import { trackLeaks, waitFor } from "@tandem/testkit";
import { afterAll, describe, expect, it } from "vitest";
import type { TransactionOptions } from "./requests.ts";
import { sql } from "./sql.ts";
import type { RecordingOwnerOptions } from "./testing/recording-owner.ts";
import { type RelayedOwner, startRelayedOwner } from "./testing/relayed-owner.ts";

const leaks = trackLeaks();
afterAll(() => leaks.expectNoLeaks());

// What a caller gets must not depend on how a transaction travels. Without an id it isn't settled: what the one send
// came to is what is compared.
interface Case {
  readonly what: string;
  readonly owner?: RecordingOwnerOptions;
  readonly options?: () => TransactionOptions;
  readonly text?: string;
  /** Before the call, and when it has arrived. */
  readonly before?: (owner: RelayedOwner) => void;
  readonly meanwhile?: (owner: RelayedOwner) => void;
  readonly expected: object;
}

type Transaction = NonNullable<NonNullable<RecordingOwnerOptions["handlers"]>["transaction"]>;

const handled = (transaction: Transaction): RecordingOwnerOptions => ({ handlers: { transaction } });
const throwing = (error: Error): RecordingOwnerOptions =>
  handled(() => {
    throw error;
  });
const silent = handled(async (_, { signal }) => {
  await whenAborted(signal);
  throw signal.reason;
});
const caller = { current: new AbortController() };
const maybe = { name: "TransportError", sent: "maybe" };
const no = { name: "TransportError", sent: "no" };

const cases: readonly Case[] = [
  {
    what: "an answer",
    owner: handled(() => ({
      results: [{ changes: 2n ** 62n, columns: [{ name: "a", type: "text" }], rows: [{ values: [{}] }] }],
      committedAt: { seconds: 1_767_323_045n, nanos: 678_000_000 },
      writeToken: "token",
      replayed: true,
      rowsOmitted: false,
    })),
    expected: { results: [{ changes: 2n ** 62n, rows: [{ a: null }] }], writeToken: "token", replayed: true },
  },
  { what: "an answer that makes no sense", owner: handled(() => ({ results: [] })), expected: maybe },
  {
    what: "an answer that is too large",
    owner: handled(() => ({ results: [{}], writeToken: "x".repeat(5_000_000) })),
    expected: { reason: "RESULT_TOO_LARGE", outcome: "UNKNOWN" },
  },
  {
    what: "a failure of a step",
    owner: throwing(
      new HandlerError({
        reason: "UNIQUE_VIOLATION",
        message: "Ein Schlüssel steht schon da: ☂.",
        step: 3,
        database: { sqlstate: "23505", schema: "public", table: "t", column: "c", constraint: "t_key" },
        fields: [{ field: "steps[3]", description: "It stands there." }],
      }),
    ),
    expected: { reason: "UNIQUE_VIOLATION", outcome: "NOT_COMMITTED", step: 3, database: { table: "t" } },
  },
  {
    what: "a guard that is unmet",
    owner: throwing(
      new HandlerError({
        reason: "GUARD_UNMET",
        message: "None changed.",
        step: 0,
        guard: { actualChanges: 0n, minChanges: 1n, maxChanges: 2n ** 60n },
      }),
    ),
    expected: { reason: "GUARD_UNMET", guard: { actualChanges: 0n, minChanges: 1n, maxChanges: 2n ** 60n } },
  },
  {
    what: "a failure that may pass",
    owner: throwing(new HandlerError({ reason: "OVERLOADED", message: "Full.", retryAfterMs: 777 })),
    expected: { reason: "OVERLOADED", retryable: true, retryAfterMs: 777, outcome: "NOT_COMMITTED" },
  },
  {
    what: "an outcome that nobody knows",
    owner: throwing(new HandlerError({ reason: "COMMIT_OUTCOME_UNKNOWN", message: "The link broke." })),
    expected: { reason: "COMMIT_OUTCOME_UNKNOWN", outcome: "UNKNOWN", retryable: true },
  },
  {
    what: "a defect of the handler's",
    owner: throwing(new TypeError("a secret")),
    expected: { reason: "HANDLER_FAILED", outcome: "UNKNOWN" },
  },
  {
    what: "a caller whom no rule lets in",
    owner: { identity: { allowPlaintext: true, plaintextCaller: "stranger", rules: {} } },
    expected: { reason: "METHOD_NOT_ALLOWED", outcome: "NOT_COMMITTED", retryable: false },
  },
  {
    what: "a request that is too large",
    owner: { client: { limits: { maxRequestBytes: 1_000 } } },
    text: "x".repeat(2_000),
    expected: { ...no, code: 8 },
  },
  {
    what: "a text that has no form in UTF-8",
    options: () => ({ serializationKey: "\ud800" }),
    expected: { ...no, code: 3 },
  },
  {
    what: "a deadline that passes before",
    options: () => ({ timeoutMs: 0 }),
    expected: { ...no, code: 4 },
  },
  {
    what: "a deadline that passes meanwhile",
    owner: silent,
    options: () => ({ timeoutMs: 300 }),
    expected: { ...maybe, code: 4 },
  },
  {
    what: "a caller who left before",
    options: () => ({ signal: AbortSignal.abort(new Error("gone")) }),
    expected: { ...no, code: 1, cause: { message: "gone" } },
  },
  {
    what: "a caller who leaves meanwhile",
    owner: silent,
    options: () => ({ signal: caller.current.signal }),
    meanwhile: () => caller.current.abort(new Error("gone")),
    expected: { ...maybe, code: 1, cause: { message: "gone" } },
  },
  { what: "an owner that isn't there", before: ({ relay }) => relay.refuse(), expected: { ...no, code: 14 } },
  {
    what: "a link that breaks meanwhile",
    owner: silent,
    meanwhile: ({ relay }) => relay.cut(),
    expected: { ...maybe, code: 14 },
  },
  {
    what: "a client that is closed meanwhile",
    owner: silent,
    meanwhile: ({ db }) => db.close(),
    expected: { ...maybe, code: 14 },
  },
  { what: "a client that is closed", before: ({ db }) => db.close(), expected: { ...no, code: 14 } },
];

describe("a caller gets the same over a stream and by a call", () => {
  it.each(cases)("for $what", async (given) => {
    const [overStream, byCall] = [await outcomeOf(given, true), await outcomeOf(given, false)];
    expect(overStream).toMatchObject(given.expected);
    expect(overStream).toEqual(byCall);
  });
});

async function outcomeOf({ owner: ownerOptions, ...given }: Case, streams: boolean): Promise<unknown> {
  caller.current = new AbortController();
  await using owner = await startRelayedOwner({
    ...ownerOptions,
    client: { ...ownerOptions?.client, streams, retryLimits: { maxRetries: 0 } },
  });
  given.before?.(owner);
  const call = owner.db.transaction([sql`SELECT ${given.text ?? "a"}`], {
    validateOnly: true,
    ...given.options?.(),
  });
  const outcome = call.catch((error: unknown) => described(error));
  if (given.meanwhile !== undefined) {
    await waitFor(() => owner.transactions.length === 1, { describe: "the transaction to arrive" });
    expect(owner.streamMessages.length > 0).toBe(streams);
    given.meanwhile(owner);
  }
  return await outcome;
}

/** An error's class and all that it says, but for what the transport says in words. */
function described(error: unknown): unknown {
  if (error instanceof HandlerError)
    return Object.assign({}, error, { message: error.message, cause: error.cause });
  if (!(error instanceof TransportError)) return error;
  const { name, code, sent, method, cause } = error;
  const left = cause instanceof Error && cause.message === "gone" ? { message: "gone" } : undefined;
  return { name, code, sent, method, cause: left };
}
