import { cutToBytes, HandlerError, type HandlerErrorOptions, type Reason } from "@tandem/rpc";
import { type ConnectionFailure, recogniseError, type ServerError } from "./foreign-error.ts";
import { postgresLimits } from "./limits.ts";
import { toLoggable } from "./loggable-error.ts";
import { isMessageSpoken, isStartupCode, reasonOfSqlstate, sentenceByReason } from "./sqlstate.ts";

/** What only whoever ran the statement knows. */
export interface TranslateOptions {
  /** The 0-based step that failed. */
  readonly step?: number;
  /**
   * `commit`: the error came out of COMMIT, or of a statement outside a transaction, which commits by
   * itself. A connection that is lost there leaves the outcome unknown. `transaction` where it isn't said.
   */
  readonly during?: "transaction" | "commit";
}

/**
 * What a failed statement is to the caller of a service: a closed reason, and where the error stands. It
 * takes the errors of `postgres`, `pg` and drizzle, and never passes on a bind value, DETAIL or HINT; the
 * `cause` says more to the log, without the row's values. A HandlerError is returned as it is. What neither PostgreSQL nor a
 * connection is behind is a defect of ours: HANDLER_FAILED, outcome unknown.
 */
export function translateDatabaseError(thrown: unknown, options: TranslateOptions = {}): HandlerError {
  if (thrown instanceof HandlerError) return thrown;
  const found = recogniseError(thrown);
  if (found === undefined) {
    const message = "The service failed; its log says more.";
    return new HandlerError({ reason: "HANDLER_FAILED", message, outcome: "UNKNOWN", cause: thrown });
  }
  const reason = reasonOf(found, options);
  const message = cutToBytes(messageFor(reason, found), postgresLimits.maxErrorMessageBytes);
  return new HandlerError({
    reason,
    message,
    outcome: reason === "COMMIT_OUTCOME_UNKNOWN" ? "UNKNOWN" : "NOT_COMMITTED",
    ...(options.step === undefined ? {} : { step: options.step }),
    ...(found.kind === "server" ? { database: faultOf(found) } : {}),
    cause: toLoggable(found, message),
  });
}

function reasonOf(found: ServerError | ConnectionFailure, options: TranslateOptions): Reason {
  const inCommit = options.during === "commit";
  if (found.kind === "connection") {
    return inCommit && found.carried ? "COMMIT_OUTCOME_UNKNOWN" : "DATABASE_UNAVAILABLE";
  }
  const reason = reasonOfSqlstate(found.sqlstate);
  if (inCommit && endsSession(found, reason)) return "COMMIT_OUTCOME_UNKNOWN";
  return reason;
}

// An ERROR at COMMIT is a rollback. What ends the session can come after the commit was written.
function endsSession(found: ServerError, reason: Reason): boolean {
  if (isStartupCode(found.sqlstate)) return false;
  if (reason === "DATABASE_UNAVAILABLE" || reason === "TRANSACTION_TIMEOUT") return true;
  return found.severity === "FATAL" || found.severity === "PANIC";
}

function messageFor(reason: Reason, found: ServerError | ConnectionFailure): string {
  if (found.kind === "server" && isMessageSpoken(reason, found.fromParser)) return found.error.message;
  return sentenceByReason[reason] ?? "The database failed; the service's log says more.";
}

function faultOf(found: ServerError): NonNullable<HandlerErrorOptions["database"]> {
  const { sqlstate, schema, table, column, constraint } = found;
  const named = Object.entries({ schema, table, column, constraint }).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, cutToBytes(value, postgresLimits.maxErrorFieldBytes)] as const],
  );
  return { sqlstate, ...Object.fromEntries(named) };
}
