import { HandlerError, StatusCode, TransportError } from "@tandem/rpc";
import type { DbProxyLimits } from "./limits.ts";

/** What a call can fail with. */
export type CallError = HandlerError | TransportError;

export function isCallError(error: unknown): error is CallError {
  return error instanceof HandlerError || error instanceof TransportError;
}

/** Whether the same request may fare better later. */
export function canGetBetter(error: CallError): boolean {
  return error instanceof HandlerError ? error.retryable : !hopeless.has(error.code);
}

// Nobody's handler said these; whoever did would say the same again. RESOURCE_EXHAUSTED is what grpc-js says
// of a message that is too large: load has a handler's name to it.
const hopeless: ReadonlySet<StatusCode> = new Set([
  StatusCode.UNIMPLEMENTED,
  StatusCode.INVALID_ARGUMENT,
  StatusCode.RESOURCE_EXHAUSTED,
  StatusCode.UNAUTHENTICATED,
  StatusCode.PERMISSION_DENIED,
]);

/**
 * How long to wait before the retry with this number (from 1 on): never less than the error asks for, and
 * spread, so that callers who failed together don't come back together.
 */
export function retryDelayMs(
  error: CallError,
  retry: number,
  { limits, random = Math.random }: { readonly limits: DbProxyLimits; readonly random?: () => number },
): number {
  const { minRetryDelayMs, maxRetryDelayMs } = limits;
  const asked = error instanceof HandlerError ? (error.retryAfterMs ?? 0) : 0;
  const least = Math.max(minRetryDelayMs, asked);
  const most = Math.max(Math.min(maxRetryDelayMs, minRetryDelayMs * 3 ** retry), least * 1.5);
  return least + random() * (most - least);
}

/**
 * The `attempt` of the next send, after one with this `attempt` failed: how many sends of the request_id may
 * have had an effect, or may have one yet. 0 says that none has and none will, whatever the failure.
 */
export function nextAttempt(error: CallError, attempt: number): number {
  if (error instanceof TransportError) return error.sent === "no" ? attempt : attempt + 1;
  return leavesOpen(error, attempt) ? attempt + 1 : 0;
}

function leavesOpen({ reason, outcome, retryable }: HandlerError, attempt: number): boolean {
  // The id stands for other steps: these can't have been applied under it, nor be any more.
  if (reason === "REQUEST_ID_REUSED") return false;
  if (outcome !== "NOT_COMMITTED") return true;
  return attempt > 0 && (retryable || saidOfOneSend.has(reason));
}

// Whoever refuses a request before its id is looked at knows nothing of the sends before it, and says
// NOT_COMMITTED of this one alone.
const saidOfOneSend: ReadonlySet<string> = new Set([
  "UNAUTHENTICATED",
  "METHOD_NOT_ALLOWED",
  "INVALID_REQUEST",
  "REQUEST_TOO_LARGE",
  "REQUEST_ID_EXPIRED",
]);
