import type { ConnectionFailure, ServerError } from "./foreign-error.ts";

/**
 * What of PostgreSQL's error may stand in a log. Its DETAIL, and its message under many codes, quote the
 * values of a row, and `postgres` adds the statement's parameters: none of that goes along.
 */
export class LoggableDatabaseError extends Error {
  override readonly name = "DatabaseError";
  readonly sqlstate: string;
  readonly severity: string;
  readonly routine: string | undefined;

  constructor(found: ServerError, message: string) {
    super(message);
    this.sqlstate = found.sqlstate;
    this.severity = found.severity;
    this.routine = found.routine;
    // The original's stack begins with its message.
    const frames = found.error.stack?.split("\n").filter((line) => /^\s+at /.test(line)) ?? [];
    this.stack = [`${this.name}: ${message}`, ...frames].join("\n");
  }
}

/** The cause that goes with an error for a caller: for the log alone, and fit for it. */
export function toLoggable(found: ServerError | ConnectionFailure, message: string): Error {
  return found.kind === "server" ? new LoggableDatabaseError(found, message) : found.error;
}
