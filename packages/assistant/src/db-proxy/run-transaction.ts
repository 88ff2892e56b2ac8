import { create, toBinary } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import {
  type StepResult,
  type TransactionResponse,
  TransactionResponseSchema,
  type Value,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import {
  insertCommitted,
  noPartition,
  receiptObstacle,
  type RequestIdentity,
  SettledError,
  type TextStatement,
  translateDatabaseError,
} from "@tandem/postgres";
import { HandlerError } from "@tandem/rpc";
import type { Catalog } from "./catalog.ts";
import type { Connections } from "./connections.ts";
import type { Borrowed } from "./lease.ts";
import { type DbProxyLimits, SILENCE_MS } from "./limits.ts";
import { RoundTooLargeError } from "./round.ts";
import { runStatement, type StatementRun } from "./run-step.ts";
import { toStoredResponse } from "./stored-response.ts";
import { type Reference, refuseExpired, type Step, type TransactionPlan } from "./transaction-request.ts";
import { lockWriteKey } from "./write-key.ts";
import { readWriteToken } from "./write-token.ts";

export interface Executor {
  readonly connections: Connections;
  readonly catalog: Catalog;
  readonly limits: DbProxyLimits;
}

/** For whom it runs: the call's deadline bounds everything, its signal cancels it. */
export interface Caller {
  /** Who it is: requests of different callers are different, whatever their ids. */
  readonly name: string;
  readonly deadline: Date | undefined;
  readonly signal: AbortSignal;
}

// What the answer holds beside the results: the times and the token.
const ENVELOPE_BYTES = 256;

/**
 * Runs a transaction's steps in order and commits, or commits nothing: a step that fails and a guard that is
 * not met roll everything back, and the first such step, in order, is the one reported. With an identity the
 * commit leaves a receipt; where one stands already this rejects with a SettledError, and nothing is committed.
 */
export async function runTransaction(
  plan: TransactionPlan,
  { connections, catalog, limits }: Executor,
  { caller, identity }: { readonly caller: Caller; readonly identity: RequestIdentity | undefined },
): Promise<TransactionResponse> {
  const { signal } = caller;
  return connections.withConnection(signal, async (borrowed) => {
    refuseExpired(plan);
    await begin(borrowed, plan, caller);
    const { serializationKey } = plan;
    if (serializationKey !== "") {
      await attempt(signal, undefined, () => lockWriteKey(borrowed, serializationKey));
    }
    const results: StepResult[] = [];
    for (const [index, step] of plan.steps.entries()) {
      results.push(
        await attempt(signal, index, () => runStep(step, index, results, { borrowed, catalog, limits })),
      );
    }
    const response = create(TransactionResponseSchema, { results });
    refuseTooLarge(response, limits);
    if (plan.validateOnly) {
      // What is checked at COMMIT is checked here.
      await attempt(signal, undefined, () => borrowed.run("SET CONSTRAINTS ALL IMMEDIATE"));
      await attempt(signal, undefined, () => borrowed.run("ROLLBACK"));
      return response;
    }
    response.committedAt = timestampNow();
    const receipt =
      identity && insertCommitted(identity, toStoredResponse(response, limits.maxStoredResponseBytes));
    await commit(borrowed, signal, receipt);
    response.writeToken = await readWriteToken(borrowed);
    return response;
  });
}

async function begin(borrowed: Borrowed, plan: TransactionPlan, caller: Caller): Promise<void> {
  const times = timeoutsOf(plan, caller.deadline);
  borrowed.giveUpAfter(times.transactionMs + SILENCE_MS);
  await attempt(caller.signal, undefined, () =>
    borrowed.run(`BEGIN ISOLATION LEVEL ${plan.isolation}; ${timeoutSettings(times)}`),
  );
}

/** How long a transaction and each of its statements may take. */
export interface Timeouts {
  readonly statementMs: number;
  readonly transactionMs: number;
}

/** Statements that set the timeouts of the transaction that has just begun. */
export function timeoutSettings({ statementMs, transactionMs }: Timeouts): string {
  // PostgreSQL leaves a running timer as it is when its setting changes; it has to be stopped first.
  return (
    `SET LOCAL statement_timeout = ${statementMs};` +
    `SET LOCAL transaction_timeout = 0; SET LOCAL transaction_timeout = ${transactionMs}`
  );
}

/** What is asked for, but never past the caller's deadline. */
export function timeoutsOf(
  plan: Pick<TransactionPlan, "statementTimeoutMs" | "transactionTimeoutMs">,
  deadline: Date | undefined,
): Timeouts {
  const left = deadline === undefined ? Infinity : deadline.getTime() - Date.now();
  if (left <= 0) {
    throw new HandlerError({
      reason: "TRANSACTION_TIMEOUT",
      message: "The deadline passed before it could run.",
    });
  }
  const transactionMs = Math.ceil(Math.min(plan.transactionTimeoutMs, left));
  return { statementMs: Math.ceil(Math.min(plan.statementTimeoutMs, transactionMs)), transactionMs };
}

async function runStep(
  step: Step,
  index: number,
  results: readonly StepResult[],
  run: StatementRun,
): Promise<StepResult> {
  const values = step.params.map((param) =>
    "value" in param ? param.value : resolve(param.ref, index, results),
  );
  const result = await runStatement({ sql: step.sql, values, field: `steps[${index}].`, step: index }, run);
  assertGuard(step, index, result.changes);
  return result;
}

// What is referred to is a value like any other: it has to fit where it goes.
function resolve(ref: Reference, step: number, results: readonly StepResult[]): Value {
  const { columns = [], rows = [] } = results[ref.step] ?? {};
  const at = columns.findIndex(({ name }) => name === ref.column);
  const value = rows[ref.row]?.values[at];
  const again = columns.findLastIndex(({ name }) => name === ref.column) !== at;
  if (value !== undefined && !again) return value;
  const rest = at < 0 ? "has no such column" : `has ${rows.length} rows`;
  const why = again ? "has several columns of that name" : rest;
  const message = `Step ${step} refers to "${ref.column}" in row ${ref.row} of step ${ref.step}, which ${why}.`;
  throw new HandlerError({ reason: "UNRESOLVED_REF", message, step });
}

function assertGuard(step: Step, index: number, changes: bigint): void {
  const { minChanges, maxChanges } = step;
  const met = (minChanges ?? 0n) <= changes && (maxChanges ?? changes) >= changes;
  if (met) return;
  const bounds = [
    ...(minChanges === undefined ? [] : [`at least ${minChanges}`]),
    ...(maxChanges === undefined ? [] : [`at most ${maxChanges}`]),
  ];
  throw new HandlerError({
    reason: "GUARD_UNMET",
    message: `Step ${index} changed ${changes} rows, where ${bounds.join(" and ")} had to be changed.`,
    step: index,
    guard: {
      actualChanges: changes,
      ...(minChanges === undefined ? {} : { minChanges }),
      ...(maxChanges === undefined ? {} : { maxChanges }),
    },
  });
}

// Over the limit it must not be committed: its caller would never see what it did.
function refuseTooLarge(response: TransactionResponse, limits: DbProxyLimits): void {
  assertFits(toBinary(TransactionResponseSchema, response).byteLength + ENVELOPE_BYTES, limits);
}

/** Fails where an answer of so many bytes is over the limit. */
export function assertFits(bytes: number, limits: DbProxyLimits): void {
  if (bytes <= limits.maxResponseBytes) return;
  const message = `The answer has ${bytes} bytes, the limit is ${limits.maxResponseBytes}: ask for less at a time.`;
  throw new HandlerError({ reason: "RESULT_TOO_LARGE", message });
}

async function commit(
  borrowed: Borrowed,
  signal: AbortSignal,
  receipt: TextStatement | undefined,
): Promise<void> {
  // A caller that left, or a connection that was lost, before this point: nothing is committed. After it, what
  // is answered is PostgreSQL's word or that nobody knows.
  await attempt(signal, undefined, async () => {
    signal.throwIfAborted();
    borrowed.assertConnected();
  });
  let tag: string;
  try {
    ({ tag } = await borrowed.round((connection) => {
      // In one flush: where the receipt can't be inserted, PostgreSQL skips the COMMIT behind it.
      for (const { text, values } of [...(receipt === undefined ? [] : [receipt]), COMMIT]) {
        connection.parse({ name: "", text, types: [] }, true);
        connection.bind({ values: [...values] }, true);
        connection.execute({}, true);
      }
    }));
  } catch (error) {
    throw receipt === undefined ? translateDatabaseError(error, { during: "commit" }) : receiptFailure(error);
  }
  // PostgreSQL answers a COMMIT of a failed transaction with ROLLBACK, and calls it success.
  if (tag === "COMMIT") return;
  throw new HandlerError({ reason: "DATABASE_INTERNAL", message: "PostgreSQL rolled the transaction back." });
}

const COMMIT: TextStatement = { text: "COMMIT", values: [] };

function receiptFailure(error: unknown): Error {
  switch (receiptObstacle(error)) {
    case "settled":
      return new SettledError();
    case "no partition":
      return noPartition(error);
    case "in flight": {
      const message = "A copy of this request is still running: send it again with the same request_id.";
      return new HandlerError({ reason: "REQUEST_IN_PROGRESS", message, cause: error });
    }
    default:
      return translateDatabaseError(error, { during: "commit" });
  }
}

/** Runs a part of a transaction whose failure means that nothing of it is committed. */
export async function attempt<T>(
  signal: AbortSignal,
  step: number | undefined,
  part: () => Promise<T>,
): Promise<T> {
  const where = step === undefined ? {} : { step };
  try {
    return await part();
  } catch (error) {
    if (signal.aborted) throw abandoned(signal, where);
    if (error instanceof RoundTooLargeError) {
      const message = "The result is larger than an answer may be: ask for less at a time.";
      throw new HandlerError({ reason: "RESULT_TOO_LARGE", message, ...where });
    }
    throw translateDatabaseError(error, where);
  }
}

// Whoever ended the call, its connection is destroyed before COMMIT was sent.
function abandoned(signal: AbortSignal, where: { readonly step?: number }): HandlerError {
  const draining = signal.reason instanceof HandlerError && signal.reason.reason === "DRAINING";
  return new HandlerError({
    reason: draining ? "DRAINING" : "CANCELLED_BY_CALLER",
    message: draining ? "This instance stopped before the transaction was through." : "The caller left.",
    outcome: "NOT_COMMITTED",
    ...where,
  });
}
