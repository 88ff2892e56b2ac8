import type { status, StatusObject } from "@grpc/grpc-js";
import { HandlerError } from "../errors/handler-error.ts";
import { toStatus, toStatusMessage } from "../errors/status-details.ts";
import type { HandlerContext } from "./handler-context.ts";

export type AnswerStatus = Pick<StatusObject, "code" | "details" | "metadata">;

/**
 * What a caller is told of whatever a handler threw, and what the log is. Of anything but a
 * HandlerError not a word crosses the wire.
 */
export function toAnswer(error: unknown, context: HandlerContext): AnswerStatus {
  const answer = toEncoded(toDecided(error, context), context, toStatus);
  answer.metadata.merge(context.responseTrailers);
  return answer;
}

/** The same for an item of a stream: an encoded google.rpc.Status. `log` has a way of its own to write its line. */
export function toItemAnswer(
  error: unknown,
  context: HandlerContext,
  log?: (decided: HandlerError) => void,
): { readonly code: status; readonly bytes: Uint8Array } {
  const decided = toDecided(error, context, log);
  return { code: decided.code, bytes: toEncoded(decided, context, toStatusMessage) };
}

function toDecided(
  error: unknown,
  context: HandlerContext,
  log = (decided: HandlerError): void => logFailure(decided, error, context),
): HandlerError {
  const decided = isOwn(error) ? error : fromForeign(error);
  log(decided);
  return decided;
}

// What a peer's handler decided was about another request: the outcome that it names is not this one's.
function isOwn(error: unknown): error is HandlerError {
  return error instanceof HandlerError && error.method === undefined;
}

function toEncoded<T>(decided: HandlerError, context: HandlerContext, encode: (error: HandlerError) => T): T {
  try {
    return encode(decided);
  } catch (error) {
    // A number in it that protobuf can't hold: a defect, but not one that the caller may wait for in vain.
    context.logger.error({ err: error }, "the handler's error can't be encoded");
    return encode(fromForeign(error));
  }
}

// That includes the failure of a call that the handler made, of either class: what it means for the request
// that is being answered only the handler can say, by translating it.
function fromForeign(error: unknown): HandlerError {
  return new HandlerError({
    reason: "HANDLER_FAILED",
    message: "The handler failed. Its log says why, under the call's id.",
    cause: error,
  });
}

function logFailure(decided: HandlerError, thrown: unknown, context: HandlerContext): void {
  const { logger, signal } = context;
  const { reason, code, step } = decided;
  if (decided !== thrown) {
    // After the caller left, handlers fail in many ways that mean nothing.
    const level = signal.aborted && !(thrown instanceof TypeError) ? "info" : "error";
    logger[level]({ reason, code, err: thrown, aborted: signal.aborted }, "the handler failed");
  } else if (reason === "CANCELLED_BY_CALLER") {
    // Callers come and go; a prober's watch ends this way every time.
    logger.debug({ reason, code }, decided.message);
  } else if (decided.cause === undefined) {
    logger.info({ reason, code, step }, decided.message);
  } else {
    logger.warn({ reason, code, step, err: decided.cause }, decided.message);
  }
}
