import { type Timeouts, timeoutSettings } from "@tandem/postgres";
import { HandlerError } from "@tandem/rpc";
import { type FlushStatement, ofOurOwn } from "./lease.ts";
import type { DbProxyLimits } from "./limits.ts";

/** How long it may take from now on: what was asked for, but never past the caller's deadline. */
export function timeLeft(transactionMs: number, deadline: Date | undefined): number {
  const left = Math.min(transactionMs, deadline === undefined ? Infinity : deadline.getTime() - Date.now());
  if (left > 0) return Math.ceil(left);
  throw new HandlerError({
    reason: "TRANSACTION_TIMEOUT",
    message: "The deadline passed before it was through: nothing of it is committed.",
  });
}

/**
 * Begins a transaction and sets its timeouts, where less is asked for than what every connection has. The deadline
 * needs none of its own: when it passes, the call ends and what runs is cancelled from outside.
 */
export function beginning(
  begin: string,
  { statementMs, transactionMs }: Timeouts,
  limits: DbProxyLimits,
): readonly FlushStatement[] {
  const opening = ofOurOwn(begin);
  if (statementMs >= limits.statementTimeoutMs && transactionMs >= limits.transactionTimeoutMs)
    return [opening];
  const times = { statementMs: Math.ceil(statementMs), transactionMs: Math.max(1, Math.ceil(transactionMs)) };
  return [opening, ...timeoutSettings(times).map((text) => ({ ...ofOurOwn(text), once: true }))];
}
