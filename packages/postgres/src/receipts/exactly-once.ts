import { HandlerError } from "@tandem/rpc";
import { type Receipt, SettledError } from "./receipt.ts";
import type { Patience, Receipts } from "./receipts.ts";
import type { RequestIdentity } from "./request-identity.ts";

/** A write that is applied once, however often it is sent. */
export interface IdentifiedWrite<Response> extends Patience {
  readonly identity: RequestIdentity;
  /**
   * Runs the write in a transaction that ends with `insertCommitted`. Rejects with a HandlerError that knows
   * its outcome, or with a SettledError.
   */
  apply(): Promise<Response>;
  /** The response that an earlier copy committed. */
  replay(response: Uint8Array): Promise<Response>;
}

/**
 * Applies a write once: the first copy to commit leaves a receipt, every other one is answered from it. Fails
 * with a HandlerError. It says NOT_COMMITTED of a request that was sent before only when that is settled for
 * good, UNKNOWN otherwise: then the same request may be sent again.
 */
export async function exactlyOnce<Response>(
  write: IdentifiedWrite<Response>,
  receipts: Receipts,
): Promise<Response> {
  const { identity } = write;
  if (identity.attempt > 0) {
    const receipt = await receipts.find(identity, write);
    if (receipt !== undefined) return answer(receipt, write);
  }
  try {
    return await write.apply();
  } catch (error) {
    const left = await leftBehind(error, write, receipts);
    if (left instanceof HandlerError) throw left;
    return answer(left, write);
  }
}

/** What stands after a failed copy: the receipt of another one, or else the failure, with what is known now. */
async function leftBehind(
  error: unknown,
  write: IdentifiedWrite<unknown>,
  receipts: Receipts,
): Promise<Receipt | HandlerError> {
  const { identity, signal } = write;
  if (error instanceof SettledError) return receipts.settle(identity, write).catch(outcomeUnknown);
  if (!(error instanceof HandlerError)) throw error;
  // Nobody waits for what could be found out.
  if (signal.aborted) return identity.attempt > 0 ? error.withOutcome("UNKNOWN") : error;
  // Of this copy nothing is committed, and of the other one a later send will tell.
  if (error.reason === "REQUEST_IN_PROGRESS") return error;
  if (error.outcome === "NOT_COMMITTED" && identity.attempt === 0) {
    return lookBehind(error, write, receipts);
  }
  // It may yet succeed: to settle it would take that from it.
  if (error.outcome === "NOT_COMMITTED" && error.retryable) return error.withOutcome("UNKNOWN");
  try {
    const receipt = await receipts.settle(identity, write);
    if (receipt.state === "committed") return receipt;
    return error.reason === "COMMIT_OUTCOME_UNKNOWN" ? refused(error) : error.withOutcome("NOT_COMMITTED");
  } catch (cause) {
    return outcomeUnknown(cause);
  }
}

// A first copy needs no proof. But a caller that sends its second as if it were the first is answered by what
// the first has left, if that is why it failed.
async function lookBehind(
  error: HandlerError,
  { identity, deadline, signal }: IdentifiedWrite<unknown>,
  receipts: Receipts,
): Promise<Receipt | HandlerError> {
  if (error.retryable) return error;
  try {
    return (await receipts.look(identity, { deadline, signal })) ?? error;
  } catch {
    return error;
  }
}

async function answer<Response>(receipt: Receipt, write: IdentifiedWrite<Response>): Promise<Response> {
  if (receipt.state === "refused") throw refused();
  if (Buffer.compare(receipt.fingerprint, write.identity.fingerprint) === 0)
    return write.replay(receipt.response);
  throw new HandlerError({
    reason: "REQUEST_ID_REUSED",
    message:
      "This request_id was committed with other steps, isolation or serialization_key: ask for its receipt, and give another write an id of its own.",
    fields: [{ field: "request_id", description: "belongs to another request" }],
  });
}

function refused(cause?: unknown): HandlerError {
  const message =
    "This request_id is settled: nothing of it is committed, and no copy of it will be. Send the write with a new one.";
  return new HandlerError({ reason: "REQUEST_REFUSED", message, cause });
}

function outcomeUnknown(cause: unknown): HandlerError {
  if (cause instanceof HandlerError && cause.reason === "REQUEST_IN_PROGRESS") return cause;
  const message =
    "Whether this request is committed could not be found out: send it again with the same request_id, or ask for its receipt.";
  return new HandlerError({ reason: "COMMIT_OUTCOME_UNKNOWN", message, cause });
}
