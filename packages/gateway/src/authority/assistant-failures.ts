import { HandlerError, type Reason, TransportError } from "@tandem/rpc";

// What the assistant says of the write itself, or of its database at the moment: that holds for whoever asked for the
// write. Of anything else (who may call, which statements there are) that one can know nothing: it is for the log.
const passedOn: ReadonlySet<string> = new Set<Reason>([
  "GUARD_UNMET",
  "UNIQUE_VIOLATION",
  "FOREIGN_KEY_VIOLATION",
  "CHECK_VIOLATION",
  "NOT_AUTHORITATIVE",
  "REQUEST_ID_REUSED",
  "REQUEST_ID_EXPIRED",
  "REQUEST_IN_PROGRESS",
  "REQUEST_REFUSED",
  "RESULT_TOO_LARGE",
  "SERIALIZATION_FAILURE",
  "DEADLOCK",
  "LOCK_TIMEOUT",
  "OVERLOADED",
  "DRAINING",
  "NOT_READY",
  "NOT_PRIMARY",
  "DATABASE_UNAVAILABLE",
  "STATEMENT_TIMEOUT",
  "TRANSACTION_TIMEOUT",
  "CANCELLED_BY_CALLER",
  "COMMIT_OUTCOME_UNKNOWN",
  "DATABASE_INTERNAL",
  "DATABASE_RESOURCES",
]);

/**
 * What a call of the assistant's DbProxy failed with, as the gateway says it to its own caller: a HandlerError with what
 * is known of the outcome. Where the assistant can't be reached, its database can't be. What is the gateway's own
 * trouble with the assistant stays what it is; `also` names what isn't, where more than a statement was asked for.
 */
export function translateAssistantFailure(
  error: unknown,
  during: "read" | "write",
  also: ReadonlySet<string> = new Set(),
): unknown {
  if (error instanceof TransportError) return unreachable(error, during);
  if (!(error instanceof HandlerError)) return error;
  if (!passedOn.has(error.reason) && !also.has(error.reason)) return error;
  const { message, outcome, retryAfterMs, step, database, guard, fields } = error;
  return new HandlerError({
    reason: error.reason as Reason,
    message,
    outcome,
    fields,
    cause: error,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(step === undefined ? {} : { step }),
    ...(database === undefined ? {} : { database }),
    ...(guard === undefined ? {} : { guard }),
  });
}

function unreachable(cause: TransportError, during: "read" | "write"): HandlerError {
  if (during === "write" && cause.sent === "maybe") {
    const message =
      "The assistant, whose database decides, didn't answer: whether this is written is not known. Send it again with the same request_id.";
    return new HandlerError({ reason: "COMMIT_OUTCOME_UNKNOWN", message, cause });
  }
  const message = "The assistant, whose database decides, can't be reached at the moment.";
  return new HandlerError({ reason: "DATABASE_UNAVAILABLE", message, cause });
}
