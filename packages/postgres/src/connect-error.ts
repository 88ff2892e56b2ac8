/** Why a connection to PostgreSQL did not come about. */
export type ConnectFailure =
  | "INVALID_URL"
  | "HOST_NOT_FOUND"
  | "REFUSED"
  | "TIMED_OUT"
  | "CLOSED"
  | "NOT_POSTGRESQL"
  | "TLS_NOT_OFFERED"
  | "TLS_FAILED"
  | "WRONG_PASSWORD"
  | "NO_SUCH_DATABASE"
  | "NOT_ADMITTED"
  | "STARTING"
  | "TOO_MANY_CONNECTIONS"
  | "SERVER_TOO_OLD"
  | "FAILED";

const passing: ReadonlySet<ConnectFailure> = new Set([
  "HOST_NOT_FOUND",
  "REFUSED",
  "TIMED_OUT",
  "CLOSED",
  "STARTING",
  "TOO_MANY_CONNECTIONS",
]);

/**
 * No connection, or not to a server that will do. The message is a plain sentence for whoever runs the
 * service, without a password; it names addresses and roles, so callers of the service never see it.
 */
export class ConnectError extends Error {
  override readonly name = "ConnectError";
  readonly failure: ConnectFailure;
  /** Whether it may be over by itself: a server that starts is not a wrong password. */
  readonly passing: boolean;

  constructor(options: { failure: ConnectFailure; message: string; cause?: unknown }) {
    super(options.message, { cause: options.cause });
    this.failure = options.failure;
    this.passing = passing.has(options.failure);
  }
}
