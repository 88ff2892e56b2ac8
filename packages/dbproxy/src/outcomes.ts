import { HandlerError, StatusCode, TransportError } from "@tandem/rpc";
import type { CallError } from "./retry.ts";

/**
 * What a send failed with, in the light of how many were made before it. Who may not call is refused before the
 * request is read, and told UNKNOWN, since it may be a copy. Where this was the first, nothing has happened.
 */
export function inLightOf(attempt: number, error: unknown): unknown {
  if (attempt > 0 || !(error instanceof HandlerError) || !refusedUnread.has(error.reason)) return error;
  return error.outcome === "UNKNOWN" ? error.withOutcome("NOT_COMMITTED") : error;
}

const refusedUnread: ReadonlySet<string> = new Set(["UNAUTHENTICATED", "METHOD_NOT_ALLOWED"]);

/** The error for a caller who is not to conclude that nothing happened, whatever the last send said of itself. */
export function asUnknown(error: CallError): CallError {
  if (error instanceof HandlerError) {
    return error.outcome === "NOT_COMMITTED" ? error.withOutcome("UNKNOWN") : error;
  }
  if (error.sent === "maybe") return error;
  const { code, method, address } = error;
  const details = "this send didn't leave, and of an earlier one of the same request_id nothing is known";
  return new TransportError({ code, sent: "maybe", method, address, details, cause: error });
}

/** The error for a caller whose request was refused for good after it had failed with an outcome unknown. */
export function asNotCommitted(error: CallError): HandlerError {
  // What might have passed can't any more: its words would mislead.
  if (error instanceof HandlerError && !error.retryable) {
    return Object.assign(error.withOutcome("NOT_COMMITTED"), { cause: error });
  }
  return new HandlerError({
    code: StatusCode.ABORTED,
    reason: "REQUEST_REFUSED",
    retryable: false,
    ...(error.method === undefined ? {} : { method: error.method }),
    message:
      "No answer came. The request is settled: nothing of it was applied, and nothing of it ever will be.",
    cause: error,
  });
}
