import { HandlerError } from "@tandem/rpc";
import { setTimeout as delay } from "node:timers/promises";
import { contactsLimits } from "./limits.ts";

// PostgreSQL chose this transaction to give way to another.
const conflicts: ReadonlySet<string> = new Set(["SERIALIZATION_FAILURE", "DEADLOCK"]);
const FIRST_REST_MS = 10;

/**
 * Writes what is decided by guards. Where one is unmet, nothing is written, and `explain` reads why: it gives what the
 * caller is to be told, or undefined where it sees nothing that stands in the way any more; then it is written again,
 * and again a bounded number of times.
 */
export async function writeGuarded<T>(
  write: () => Promise<T>,
  {
    signal,
    explain,
  }: { readonly signal: AbortSignal; readonly explain: () => Promise<HandlerError | undefined> },
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof HandlerError) || signal.aborted) throw error;
      const conflict = conflicts.has(error.reason) && error.retryable;
      if (!conflict && !isUnmet(error)) throw error;
      const refusal = conflict ? undefined : await explain();
      if (refusal !== undefined) throw refusal;
      if (attempt >= contactsLimits.maxAttempts) throw conflict ? error : alwaysInTheWay(error);
    }
    await delay(FIRST_REST_MS * 2 ** attempt * Math.random(), undefined, { signal }).catch(() => undefined);
  }
}

/** Its guard, or a row that somebody else wrote at the same time. */
function isUnmet({ reason, outcome, database }: HandlerError): boolean {
  if (outcome !== "NOT_COMMITTED") return false;
  return reason === "GUARD_UNMET" || (reason === "UNIQUE_VIOLATION" && database !== undefined);
}

function alwaysInTheWay(cause: HandlerError): HandlerError {
  const message = `Others changed the same contact or channel at the same time, ${contactsLimits.maxAttempts} times over: try again.`;
  return new HandlerError({ reason: "SERIALIZATION_FAILURE", message, cause });
}
