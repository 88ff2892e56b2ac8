import type { StatusObject } from "@grpc/grpc-js";
import { HandlerError } from "../errors/handler-error.ts";
import { toStatus } from "../errors/status-details.ts";
import type { HandlerContext } from "./handler-context.ts";

export type AnswerStatus = Pick<StatusObject, "code" | "details" | "metadata">;

/**
 * What a caller is told of whatever a handler threw, and what the log is. Of anything but a
 * HandlerError not a word crosses the wire.
 */
export function toAnswer(error: unknown, context: HandlerContext): AnswerStatus {
  const decided = error instanceof HandlerError ? error : fromForeign(error);
  logFailure(decided, error, context);
  const status = toStatus(decided);
  status.metadata.merge(context.responseTrailers);
  return status;
}

// That includes the TransportError of a call that the handler made: what it means for the request that
// is being answered only the handler can say, by translating it.
function fromForeign(error: unknown): HandlerError {
  return new HandlerError({
    reason: "HANDLER_FAILED",
    outcome: "UNKNOWN",
    message: "The handler failed. Its log says why, under the call's id.",
    cause: error,
  });
}

function logFailure(decided: HandlerError, thrown: unknown, context: HandlerContext): void {
  const { logger, signal } = context;
  const { reason, code } = decided;
  if (decided !== thrown) {
    // After the caller left, handlers fail in many ways that mean nothing.
    const level = signal.aborted && !(thrown instanceof TypeError) ? "info" : "error";
    logger[level]({ reason, code, err: thrown, aborted: signal.aborted }, "the handler failed");
  } else if (decided.cause === undefined) {
    logger.info({ reason, code }, decided.message);
  } else {
    logger.warn({ reason, code, err: decided.cause }, decided.message);
  }
}
