import { create } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import {
  type StepResult,
  type TransactionResponse,
  TransactionResponseSchema,
  type Value,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { insertCommitted, type RequestIdentity, timeoutSettings } from "@tandem/postgres";
import { encoding, HandlerError, type TimeSlices } from "@tandem/rpc";
import { attempt } from "./attempt.ts";
import type { Catalog } from "./catalog.ts";
import { commit } from "./commit.ts";
import type { Connections } from "./connections.ts";
import type { Borrowed } from "./lease.ts";
import { type DbProxyLimits, SILENCE_MS } from "./limits.ts";
import { runStatement, type StatementRun } from "./run-step.ts";
import { toStoredResponse } from "./stored-response.ts";
import { timeoutsOf } from "./timeouts.ts";
import { type Reference, refuseExpired, type Step, type TransactionPlan } from "./transaction-request.ts";
import { beginWithKey } from "./write-key.ts";

export interface Executor {
  readonly connections: Connections;
  readonly catalog: Catalog;
  readonly limits: DbProxyLimits;
  readonly slices: TimeSlices;
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
  { connections, catalog, limits, slices }: Executor,
  { caller, identity }: { readonly caller: Caller; readonly identity: RequestIdentity | undefined },
): Promise<TransactionResponse> {
  const { signal } = caller;
  return connections.withConnection(signal, async (borrowed) => {
    refuseExpired(plan);
    const begun = (): Promise<void> => begin(borrowed, plan, caller);
    if (plan.serializationKey === "") await begun();
    else
      await attempt(signal, undefined, () =>
        beginWithKey(borrowed, plan.serializationKey, { begin: begun, limits }),
      );
    const results: StepResult[] = [];
    for (const [index, step] of plan.steps.entries()) {
      results.push(
        await attempt(signal, index, () =>
          runStep(step, index, results, { borrowed, catalog, limits, slices }),
        ),
      );
    }
    const response = create(TransactionResponseSchema, { results });
    const encoded = await slices.run(encoding(TransactionResponseSchema, response));
    const size = encoded.byteLength + ENVELOPE_BYTES;
    // Over the limit it must not be committed: its caller would never see what it did.
    assertFits(size, limits);
    if (plan.validateOnly) {
      // What is checked at COMMIT is checked here.
      await attempt(signal, undefined, () => borrowed.run("SET CONSTRAINTS ALL IMMEDIATE"));
      await attempt(signal, undefined, () => borrowed.run("ROLLBACK"));
      return response;
    }
    response.committedAt = timestampNow();
    const withRows = size <= limits.maxStoredResponseBytes;
    const receipt = identity && insertCommitted(identity, toStoredResponse(response, { withRows }));
    response.writeToken = await commit(borrowed, signal, receipt);
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

async function runStep(
  step: Step,
  index: number,
  results: readonly StepResult[],
  run: StatementRun,
): Promise<StepResult> {
  const values = step.params.map((param) =>
    "value" in param ? param.value : resolve(param.ref, index, results),
  );
  const result = await runStatement(
    { ...step.runnable, values, field: `steps[${index}].`, step: index },
    run,
  );
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

/** Fails where an answer of so many bytes is over the limit. */
export function assertFits(bytes: number, limits: DbProxyLimits): void {
  if (bytes <= limits.maxResponseBytes) return;
  const message = `The answer has ${bytes} bytes, the limit is ${limits.maxResponseBytes}: ask for less at a time.`;
  throw new HandlerError({ reason: "RESULT_TOO_LARGE", message });
}
