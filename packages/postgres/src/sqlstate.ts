import type { Reason } from "@tandem/rpc";

/**
 * The SQLSTATEs that a caller can tell apart by their reason. A code that isn't here is judged by its
 * class, then by `reasonOfSqlstate`'s last rule.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const reasonByCode: ReadonlyMap<string, Reason> = new Map([
  ["08007", "COMMIT_OUTCOME_UNKNOWN"],
  ["21000", "RAISED"],
  ["23000", "RAISED"],
  ["23001", "FOREIGN_KEY_VIOLATION"],
  ["23502", "NOT_NULL_VIOLATION"],
  ["23503", "FOREIGN_KEY_VIOLATION"],
  ["23505", "UNIQUE_VIOLATION"],
  ["23514", "CHECK_VIOLATION"],
  ["23P01", "EXCLUSION_VIOLATION"],
  ["25006", "NOT_PRIMARY"],
  ["25P03", "TRANSACTION_TIMEOUT"],
  ["25P04", "TRANSACTION_TIMEOUT"],
  // The database that the connection asked for: no statement can lead to it.
  ["3D000", "DATABASE_UNAVAILABLE"],
  ["3F000", "SCHEMA_MISMATCH"],
  ["40001", "SERIALIZATION_FAILURE"],
  ["40003", "COMMIT_OUTCOME_UNKNOWN"],
  ["40P01", "DEADLOCK"],
  ["42501", "INSUFFICIENT_PRIVILEGE"],
  ["42703", "SCHEMA_MISMATCH"],
  ["42883", "SCHEMA_MISMATCH"],
  ["42P01", "SCHEMA_MISMATCH"],
  ["44000", "CHECK_VIOLATION"],
  ["53100", "DATABASE_RESOURCES"],
  ["53200", "DATABASE_RESOURCES"],
  ["53300", "OVERLOADED"],
  ["53400", "DATABASE_RESOURCES"],
  ["55P03", "LOCK_TIMEOUT"],
  ["57014", "STATEMENT_TIMEOUT"],
  ["57P01", "DATABASE_UNAVAILABLE"],
  ["57P02", "DATABASE_UNAVAILABLE"],
  ["57P03", "DATABASE_UNAVAILABLE"],
  ["57P04", "DATABASE_UNAVAILABLE"],
  ["57P05", "DATABASE_UNAVAILABLE"],
  // Of our own: a write on the side that doesn't decide about the row.
  ["TD001", "NOT_AUTHORITATIVE"],
  ["XX001", "DATA_CORRUPTED"],
  ["XX002", "DATA_CORRUPTED"],
]);

const reasonByClass: ReadonlyMap<string, Reason> = new Map([
  // As an error, success and warnings can only have been raised by the owner's own code.
  ["00", "RAISED"],
  ["01", "RAISED"],
  ["02", "RAISED"],
  ["08", "DATABASE_UNAVAILABLE"],
  ["09", "RAISED"],
  ["0A", "NOT_SUPPORTED"],
  ["20", "RAISED"],
  ["22", "DATA_EXCEPTION"],
  ["27", "RAISED"],
  // The service's own credentials were refused: nothing that its caller did.
  ["28", "DATABASE_UNAVAILABLE"],
  ["42", "SQL_INVALID"],
  ["54", "SQL_INVALID"],
  ["P0", "RAISED"],
]);

// PostgreSQL's own classes that have no row above: their codes are the database's own trouble.
const ownClasses: ReadonlySet<string> = new Set(
  "03 0B 0F 0L 0P 0Z 10 21 23 24 25 26 2B 2D 2F 34 38 39 3B 3D 3F 40 44 53 55 57 58 F0 HV XX".split(" "),
);

// Codes that a connection meets before it can carry a statement.
const startupCodes: ReadonlySet<string> = new Set(["3D000", "53300", "57P03"]);

// What PostgreSQL's primary message says under these reasons is names, never values: a caller may read it.
// A message that was raised is the owner's own word to the callers.
const spokenReasons: ReadonlySet<Reason> = new Set([
  "UNIQUE_VIOLATION",
  "FOREIGN_KEY_VIOLATION",
  "CHECK_VIOLATION",
  "NOT_NULL_VIOLATION",
  "RAISED",
  "INSUFFICIENT_PRIVILEGE",
  "SERIALIZATION_FAILURE",
  "DEADLOCK",
  "LOCK_TIMEOUT",
  "NOT_PRIMARY",
  "NOT_AUTHORITATIVE",
  "TRANSACTION_TIMEOUT",
]);

// Under these reasons the message quotes the statement's text when it comes from the parser (which says at
// which position) and can quote a value when it comes from execution: to_tsquery($1), $1::regclass.
const spokenByParser: ReadonlySet<Reason> = new Set(["SQL_INVALID", "SCHEMA_MISMATCH", "NOT_SUPPORTED"]);

/** Our own sentence for each reason, where PostgreSQL's message isn't passed on. */
export const sentenceByReason: Readonly<Partial<Record<Reason, string>>> = {
  SQL_INVALID: "The statement is not one that PostgreSQL can run.",
  SCHEMA_MISMATCH: "The statement names something that the database doesn't have.",
  NOT_SUPPORTED: "PostgreSQL does not support this.",
  DATA_EXCEPTION: "A value does not fit the type or the function that it is used with.",
  EXCLUSION_VIOLATION: "The row conflicts with another under an exclusion constraint.",
  STATEMENT_TIMEOUT: "The statement took longer than it may.",
  TRANSACTION_TIMEOUT: "The transaction took longer than it may.",
  CANCELLED_BY_CALLER: "The caller cancelled the call.",
  OVERLOADED: "The database accepts no more connections at the moment.",
  DATABASE_RESOURCES: "The database has run out of disk space or memory.",
  DATABASE_UNAVAILABLE: "The database can't be reached at the moment.",
  COMMIT_OUTCOME_UNKNOWN: "The connection was lost during COMMIT: whether it took effect is not known.",
  DATA_CORRUPTED: "The database found corrupted data.",
  DATABASE_INTERNAL: "The database failed; the service's log says more.",
};

/**
 * The reason that a SQLSTATE stands for. A code of no class of PostgreSQL's was raised by the owner's
 * trigger or function. The code 57014 counts as a timeout: only whoever cancelled knows better.
 */
export function reasonOfSqlstate(sqlstate: string): Reason {
  const ownClass = sqlstate.slice(0, 2);
  const reason = reasonByCode.get(sqlstate) ?? reasonByClass.get(ownClass);
  return reason ?? (ownClasses.has(ownClass) ? "DATABASE_INTERNAL" : "RAISED");
}

/** Whether PostgreSQL's message under this reason can be passed on: it holds no value of the request's. */
export function isMessageSpoken(reason: Reason, fromParser: boolean): boolean {
  return spokenReasons.has(reason) || (fromParser && spokenByParser.has(reason));
}

/** Whether a connection that met this code never carried a statement. */
export function isStartupCode(sqlstate: string): boolean {
  return startupCodes.has(sqlstate) || sqlstate.startsWith("28");
}
