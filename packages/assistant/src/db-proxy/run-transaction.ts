import { insertCommitted, type RequestIdentity } from "@tandem/postgres";
import { EncodedMessage, HandlerError, type TimeSlices } from "@tandem/rpc";
import { attempt } from "./attempt.ts";
import { withBeliefs } from "./beliefs.ts";
import type { Place } from "./bind-values.ts";
import type { Catalog } from "./catalog.ts";
import { commit } from "./commit.ts";
import type { Connections } from "./connections.ts";
import type { Descriptions } from "./description.ts";
import { type Borrowed, type FlushStatement } from "./lease.ts";
import { type DbProxyLimits, SILENCE_MS } from "./limits.ts";
import { runSteps } from "./run-steps.ts";
import { writeCommittedAt, writeRowsOmitted, writeWriteToken } from "./stored-response.ts";
import { beginning, timeLeft } from "./timeouts.ts";
import { refuseExpired, type TransactionPlan } from "./transaction-request.ts";
import type { StepResult } from "./step-result.ts";
import type { SpareWriter } from "./wire/spare-writer.ts";
import { writingResults } from "./wire/write-results.ts";
import { inTurn } from "./write-key.ts";

export interface Executor {
  readonly connections: Connections;
  readonly catalog: Catalog;
  readonly descriptions: Descriptions;
  readonly limits: DbProxyLimits;
  readonly slices: TimeSlices;
  /** Of answers. */
  readonly writer: SpareWriter;
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
  executor: Executor,
  { caller, identity }: { readonly caller: Caller; readonly identity: RequestIdentity | undefined },
): Promise<EncodedMessage> {
  const { connections, limits, slices, writer } = executor;
  const { signal } = caller;
  return connections.withConnection(signal, async (borrowed) => {
    const open = createOpening(borrowed, plan, caller, limits);
    const run = { ...executor, borrowed, signal };
    const results = await withBeliefs(run, (careful) =>
      inTurn(run, plan.serializationKey, (key) => {
        const opening = [...open(), ...key];
        return runSteps({ opening, steps: plan.steps, placeOf }, { ...run, careful });
      }),
    );
    const encoded = await slices.run(writer.writing((into) => writingResults(into, results)));
    const size = encoded.byteLength + ENVELOPE_BYTES;
    // Over the limit it must not be committed: its caller would never see what it did.
    assertFits(size, limits);
    if (plan.validateOnly) {
      await attempt(signal, undefined, () => borrowed.runAll(VALIDATE, { last: true }));
      return new EncodedMessage(encoded);
    }
    const kept = size <= limits.maxStoredResponseBytes ? encoded : await withoutRows(results, executor);
    // Of an instance that froze meanwhile no timer has told it by now.
    timeLeft(Infinity, caller.deadline);
    const committedAt = Date.now();
    const stored = writer.write((into) => writeCommittedAt(into.raw(kept), committedAt));
    const receipt = identity && insertCommitted(identity, stored);
    const writeToken = await commit(borrowed, signal, receipt);
    const answer = writer.write((into) => {
      writeCommittedAt(into.raw(encoded), committedAt);
      writeWriteToken(into, writeToken);
    });
    return new EncodedMessage(answer);
  });
}

async function withoutRows(
  results: readonly StepResult[],
  { writer, slices }: Executor,
): Promise<Uint8Array> {
  const work = writer.writing(function* (into) {
    yield* writingResults(into, results, { withRows: false });
    writeRowsOmitted(into);
  });
  return slices.run(work);
}

// What is checked at COMMIT is checked here.
const VALIDATE = ["SET CONSTRAINTS ALL IMMEDIATE", "ROLLBACK"].map((text) => ({ text, values: [] }));

function placeOf(step: number): Place {
  return { field: `steps[${step}].`, step };
}

/** Also what begins it once more: its time has begun with the first beginning. */
function createOpening(
  borrowed: Borrowed,
  plan: TransactionPlan,
  { deadline }: Caller,
  limits: DbProxyLimits,
): () => readonly FlushStatement[] {
  let began: number | undefined;
  return () => {
    refuseExpired(plan);
    const now = performance.now();
    began ??= now;
    const transactionMs = plan.transactionTimeoutMs - (now - began);
    borrowed.giveUpAfter(timeLeft(transactionMs, deadline) + SILENCE_MS);
    const times = { statementMs: plan.statementTimeoutMs, transactionMs };
    return beginning(`BEGIN ISOLATION LEVEL ${plan.isolation}`, times, limits);
  };
}

/** Fails where an answer of so many bytes is over the limit. */
export function assertFits(bytes: number, limits: DbProxyLimits): void {
  if (bytes <= limits.maxResponseBytes) return;
  const message = `The answer has ${bytes} bytes, the limit is ${limits.maxResponseBytes}: ask for less at a time.`;
  throw new HandlerError({ reason: "RESULT_TOO_LARGE", message });
}
