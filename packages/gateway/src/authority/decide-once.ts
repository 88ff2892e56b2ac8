import { requestIdTime } from "@tandem/dbproxy";
import { HandlerError } from "@tandem/rpc";
import type { Decider, WriteOptions } from "./decider.ts";
import type { DecidedBefore, Deciding } from "./deciding.ts";

/**
 * Does a write with the one that decides, once for a request_id, whoever decided when an earlier copy of it came: receipts
 * stay where they are when the authority moves, so the one that decided before is asked first, where the request may be as
 * old. What it committed is answered by it, and not applied again. Where it can't be asked, the write fails with
 * COMMIT_OUTCOME_UNKNOWN.
 */
export function decideOnce<T>(
  deciding: Deciding,
  work: (decider: Decider) => Promise<T>,
  write: WriteOptions,
): Promise<T> {
  return deciding.decide(async (decider, before) => {
    const { requestId } = write;
    if (requestId === undefined || !mayHaveComeBefore(requestId, before)) return work(decider);
    const former = before.decider;
    const deadline = new Date(Math.min(Date.now() + ASK_TIMEOUT_MS, write.deadline?.getTime() ?? Infinity));
    const asked = former.hasCommitted({ ...write, requestId, deadline });
    const isCommitted = await asked.catch((error: unknown) => {
      throw whetherCommitted(error);
    });
    if (!isCommitted) return work(decider);
    return work(former).catch((error: unknown) => {
      throw isNotAuthoritative(error) ? gone(error) : error;
    });
  }, write);
}

// How long the one that decided before is asked: who waits for it in vain is to hear so in time.
const ASK_TIMEOUT_MS = 2_000;

// How far the clocks may be apart of who made an id, and of the database that says when the authority moved. A caller's may
// be a minute ahead of the server's.
const CLOCKS_MS = 120_000;

/** Whether the one that decided before may have had a copy of this request. */
export function mayHaveComeBefore(
  requestId: string,
  before: DecidedBefore | undefined,
): before is DecidedBefore {
  return before !== undefined && requestIdTime(requestId) <= before.until + CLOCKS_MS;
}

/** What a caller is told where the one that decided before couldn't be asked. */
export function whetherCommitted(cause: unknown): unknown {
  if (!(cause instanceof HandlerError)) return cause;
  // What asking failed with says nothing of what is asked for.
  if (!cause.retryable && cause.reason !== "NOT_PRIMARY") return cause.withOutcome("UNKNOWN");
  const message =
    "Whether this was written before the authority moved can't be found out at the moment: send it again with the same request_id.";
  return new HandlerError({ reason: "COMMIT_OUTCOME_UNKNOWN", message, cause });
}

function isNotAuthoritative(error: unknown): boolean {
  return error instanceof HandlerError && error.reason === "NOT_AUTHORITATIVE";
}

function gone(cause: unknown): HandlerError {
  const message =
    "This request was committed before the authority moved, and what it was about is gone since: it is not applied again.";
  return new HandlerError({ reason: "REQUEST_ID_REUSED", message, cause });
}
