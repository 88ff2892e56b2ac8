import { HandlerError } from "@tandem/rpc";
import type { TransactionPlan } from "./transaction-request.ts";

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
