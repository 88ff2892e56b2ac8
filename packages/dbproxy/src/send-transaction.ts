import { ReceiptState, type TransactionResponse } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { type CallOptions, HandlerError } from "@tandem/rpc";
import type { CallBounds } from "./call-bounds.ts";
import { asNotCommitted, asUnknown } from "./outcomes.ts";
import { askForReceipt } from "./receipts.ts";
import { newRequestId, withRequestId } from "./request-id.ts";
import { type CallError, canGetBetter, isCallError, nextAttempt } from "./retry.ts";
import { type Owner, sendWithRetries } from "./send-with-retries.ts";
import type { TransactionRequest } from "./wire/transaction-request.ts";

/** The request_id that a write begins with. */
export interface WriteId {
  readonly requestId: string;
  /** The caller's own: it may have been sent before, in an earlier life of its process. */
  readonly brought: boolean;
}

export interface TransactionToSend<T> {
  readonly request: TransactionRequest;
  readonly id: WriteId;
  readonly bounds: CallBounds;
  /** What the caller gets for the response; it may throw. */
  readonly understand: (response: TransactionResponse) => T;
}

/**
 * Sends a transaction under a request_id until it is answered or nothing more can be hoped for, and settles
 * what is unknown then.
 *
 * States: *closed*, where no send so far has had or can have an effect (attempt 0, as at the start), and
 * *open*, where one may (attempt > 0, as at the start of an id that the caller brought). A lost answer opens;
 * only a receipt, or a handler's word on the request_id, closes. A caller hears NOT_COMMITTED or `sent: "no"`
 * only when it is closed.
 */
export async function sendTransaction<T>(
  owner: Owner,
  { request, id, bounds, understand }: TransactionToSend<T>,
): Promise<T> {
  const { limits, send } = owner;
  const write = new Write(id);
  const timeLeft = Math.max(0, bounds.deadline - Date.now());
  const until = bounds.deadline - Math.min(timeLeft * limits.settlingShare, limits.maxSettlingMs);
  const isWorthIt = (error: CallError): boolean => write.failed(error) || canGetBetter(error);
  const sendOnce = (options: CallOptions): Promise<TransactionResponse> =>
    send({ ...request, ...write.next() }, options);
  try {
    let response: TransactionResponse;
    try {
      response = await sendWithRetries(owner, { bounds, until, isWorthIt, isFree: isRunning }, sendOnce);
    } catch (error) {
      if (!isCallError(error) || write.attempt === 0) throw error;
      response = await settle(owner, { error, requestId: write.requestId, bounds });
    }
    return understand(response);
  } catch (error) {
    throw withRequestId(error, write.requestId);
  }
}

// To fence a copy that is about to commit would be to lose what is nearly done.
function isRunning(error: CallError): boolean {
  return error instanceof HandlerError && error.reason === "REQUEST_IN_PROGRESS";
}

/** One write, from send to send. */
class Write {
  requestId: string;
  attempt: number;
  readonly #brought: boolean;
  #spent = false;

  constructor({ requestId, brought }: WriteId) {
    this.requestId = requestId;
    this.attempt = brought ? 1 : 0;
    this.#brought = brought;
  }

  /** Takes note of a failure; says whether the write may go on under a new id, the old one being spent. */
  failed(error: CallError): boolean {
    this.attempt = nextAttempt(error, this.attempt);
    const refused = error instanceof HandlerError && error.reason === "REQUEST_REFUSED";
    this.#spent = !this.#brought && refused && this.attempt === 0;
    return this.#spent;
  }

  /** What the next send carries. */
  next(): { requestId: string; attempt: number } {
    if (this.#spent) this.requestId = newRequestId();
    this.#spent = false;
    return { requestId: this.requestId, attempt: this.attempt };
  }
}

async function settle(
  owner: Owner,
  { error, requestId, bounds }: { error: CallError; requestId: string; bounds: CallBounds },
): Promise<TransactionResponse> {
  const unknown = asUnknown(error);
  // As often as the time allows that was kept for it; not at all for a caller who has left.
  const options = { bounds, maxRetries: Infinity };
  const receipt = await askForReceipt(owner, { requestId, fence: true }, options).catch(
    (failure: unknown) => {
      // That this was asked in vain is no news to a caller who hears that the outcome is unknown.
      throw isCallError(failure) ? unknown : failure;
    },
  );
  if (receipt.state === ReceiptState.REFUSED) throw asNotCommitted(error);
  if (receipt.state !== ReceiptState.COMMITTED || receipt.response === undefined) throw unknown;
  return { ...receipt.response, replayed: true };
}
