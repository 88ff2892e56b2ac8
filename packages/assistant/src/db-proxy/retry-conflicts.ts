import { HandlerError } from "@tandem/rpc";
import { setTimeout as delay } from "node:timers/promises";

// PostgreSQL chose this transaction to give way to another: the same again may well succeed.
const conflicts: ReadonlySet<string> = new Set(["SERIALIZATION_FAILURE", "DEADLOCK"]);
const FIRST_DELAY_MS = 10;

export interface RetryRules {
  /** How often it is tried again. */
  readonly retries: number;
  readonly deadline: Date | undefined;
  readonly signal: AbortSignal;
}

/**
 * Runs a whole transaction, and again where it had to give way to another, after a jittered rest and within
 * its caller's deadline. `transaction` must begin and end one, so that a failure means that it was rolled back.
 */
export async function retryConflicts<T>(transaction: () => Promise<T>, rules: RetryRules): Promise<T> {
  for (let retry = 0; ; retry += 1) {
    try {
      return await transaction();
    } catch (error) {
      const rolledBack = error instanceof HandlerError && error.outcome === "NOT_COMMITTED";
      if (!rolledBack || !conflicts.has(error.reason) || retry >= rules.retries) throw error;
      const restMs = FIRST_DELAY_MS * 2 ** retry * (0.5 + Math.random());
      if (rules.deadline !== undefined && Date.now() + restMs >= rules.deadline.getTime()) throw error;
      // Who leaves meanwhile is told about the conflict: it is what happened.
      const rested = await delay(restMs, true, { signal: rules.signal }).catch(() => false);
      if (!rested) throw error;
    }
  }
}
