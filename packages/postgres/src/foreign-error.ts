import { ConnectError } from "./connect-error.ts";

/** An error that PostgreSQL sent, by the names of its protocol, whichever driver received it. */
export interface ServerError {
  readonly kind: "server";
  readonly error: Error;
  readonly sqlstate: string;
  /** Not in English where the server isn't and the driver is `pg`. */
  readonly severity: string;
  readonly fromParser: boolean;
  readonly routine: string | undefined;
  readonly schema: string | undefined;
  readonly table: string | undefined;
  readonly column: string | undefined;
  readonly constraint: string | undefined;
}

/** A connection that did not come about or broke; `carried`: a statement can have reached the server. */
export interface ConnectionFailure {
  readonly kind: "connection";
  readonly error: Error;
  readonly carried: boolean;
}

// A chain of causes that is longer than this is a ring.
const maxDepth = 8;

const beforeAnyStatement: ReadonlySet<string> = new Set([
  "CONNECT_TIMEOUT",
  "CONNECTION_ENDED",
  "SASL_SIGNATURE_MISMATCH",
  "AUTH_TYPE_NOT_IMPLEMENTED",
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
]);

const anyTime: ReadonlySet<string> = new Set([
  "CONNECTION_CLOSED",
  "CONNECTION_DESTROYED",
  "ECONNABORTED",
  "ECONNRESET",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "ENETDOWN",
  "ENETRESET",
  "ENETUNREACH",
  "ENOTCONN",
  "EPIPE",
  "ETIMEDOUT",
]);

// `pg` gives its own connection errors no code and no class: here, and here alone, the text decides.
const carriedByMessage: ReadonlyMap<string, boolean> = new Map([
  ["Connection terminated", true],
  ["Connection terminated unexpectedly", true],
  ["Connection terminated due to connection timeout", false],
  ["Client has encountered a connection error and is not queryable", false],
  ["Client was closed and is not queryable", false],
  ["Cannot use a pool after calling end on the pool", false],
  ["timeout expired", false],
  ["timeout exceeded when trying to connect", false],
  ["The server does not support SSL connections", false],
  ["There was an error establishing an SSL connection", false],
]);

/**
 * What a driver's error is, seen through wrappers such as drizzle's (whose message holds the statement
 * and its parameters). Nothing where neither PostgreSQL nor a connection to it is behind the error.
 */
export function recogniseError(thrown: unknown): ServerError | ConnectionFailure | undefined {
  let error = thrown;
  for (let depth = 0; depth < maxDepth && error instanceof Error; depth++) {
    const found = asServerError(error) ?? asConnectionFailure(error);
    if (found !== undefined) return found;
    error = error.cause;
  }
  return undefined;
}

/**
 * Whether a prepared statement's plan no longer fits the tables (a migration ran): the work was not done,
 * and the same statement prepared anew succeeds.
 */
export function isStalePlan(thrown: unknown): boolean {
  const found = recogniseError(thrown);
  if (found?.kind !== "server") return false;
  return (
    found.sqlstate === "26000" || (found.sqlstate === "0A000" && found.routine === "RevalidateCachedQuery")
  );
}

function asServerError(error: Error): ServerError | undefined {
  const sqlstate = textOf(error, "code");
  const severity = textOf(error, "severity");
  if (sqlstate === undefined || !/^[0-9A-Z]{5}$/.test(sqlstate)) return undefined;
  // EPIPE looks like a SQLSTATE and has no severity; nor has the 57014 that `postgres` makes itself.
  if (severity === undefined && sqlstate !== "57014") return undefined;
  return {
    kind: "server",
    error,
    sqlstate,
    severity: severity ?? "ERROR",
    fromParser: textOf(error, "position") !== undefined,
    routine: textOf(error, "routine"),
    schema: textOf(error, "schema_name") ?? textOf(error, "schema"),
    table: textOf(error, "table_name") ?? textOf(error, "table"),
    column: textOf(error, "column_name") ?? textOf(error, "column"),
    constraint: textOf(error, "constraint_name") ?? textOf(error, "constraint"),
  };
}

function asConnectionFailure(error: Error): ConnectionFailure | undefined {
  if (error instanceof ConnectError) return { kind: "connection", error, carried: false };
  const code = textOf(error, "code");
  if (code === undefined) {
    const carried = carriedByMessage.get(error.message);
    return carried === undefined ? undefined : { kind: "connection", error, carried };
  }
  // The same ENOENT means a missing Unix socket here and a missing file elsewhere.
  if (beforeAnyStatement.has(code) || textOf(error, "syscall") === "connect" || isCertificateError(code)) {
    return { kind: "connection", error, carried: false };
  }
  if (anyTime.has(code) || code.startsWith("ERR_SSL_")) return { kind: "connection", error, carried: true };
  return undefined;
}

// The names of OpenSSL's verdicts on a certificate, as Node passes them on.
function isCertificateError(code: string): boolean {
  return /^(ERR_TLS_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_)/.test(code);
}

function textOf(error: Error, name: string): string | undefined {
  const value: unknown = Reflect.get(error, name);
  return typeof value === "string" && value !== "" ? value : undefined;
}
