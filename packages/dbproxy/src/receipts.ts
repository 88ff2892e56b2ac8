import { type GetReceiptResponse, ReceiptState } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { MalformedAnswerError } from "./malformed-answer-error.ts";
import type { ProbeOptions } from "./requests.ts";
import { toTransactionResult, type TransactionResult } from "./results.ts";
import { type RetryOptions, type Owner, sendWithRetries } from "./send-with-retries.ts";
import type { Statement } from "./statement.ts";

/** What became of a request_id. */
export type Receipt =
  /** Its transaction is committed; this is what it did. */
  | { readonly state: "committed"; readonly result: TransactionResult<readonly Statement[]> }
  /** Settled: no send of it was committed, and none will be. */
  | { readonly state: "refused" }
  /** No send of it has been committed yet; one that is under way may be. Never the answer to a `fence`. */
  | { readonly state: "not found" }
  /** It is older than receipts are kept: no send of it is run any more. */
  | { readonly state: "expired" };

export interface ReceiptOptions extends ProbeOptions {
  /**
   * Makes the answer final: it waits for a send that is under way, and where none was committed it refuses
   * every later one. Without it the answer says how things stand.
   */
  readonly fence?: boolean;
}

/** Asks for a receipt. Asking again harms nothing, with a fence or without. */
export async function askForReceipt(
  owner: Owner,
  request: { readonly requestId: string; readonly fence: boolean },
  options: RetryOptions,
): Promise<GetReceiptResponse> {
  return sendWithRetries(owner, options, (callOptions) => owner.client.getReceipt(request, callOptions));
}

/** @throws MalformedAnswerError */
export function toReceipt({ state, response }: GetReceiptResponse): Receipt {
  switch (state) {
    case ReceiptState.COMMITTED: {
      if (response === undefined) throw new MalformedAnswerError("the answer has no result");
      const result = toTransactionResult<readonly Statement[]>(
        response,
        // Which statements they were only the caller knows.
        response.results.map(() => undefined),
      );
      return { state: "committed", result: { ...result, replayed: true } };
    }
    case ReceiptState.REFUSED:
      return { state: "refused" };
    case ReceiptState.NOT_FOUND:
      return { state: "not found" };
    case ReceiptState.EXPIRED:
      return { state: "expired" };
    case ReceiptState.UNSPECIFIED:
    default:
      throw new MalformedAnswerError("the answer names a state that this client doesn't know");
  }
}
