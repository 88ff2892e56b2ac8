import type { Timeouts } from "@tandem/postgres";
import { HandlerError } from "@tandem/rpc";
import type { TransactionPlan } from "./transaction-request.ts";

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
