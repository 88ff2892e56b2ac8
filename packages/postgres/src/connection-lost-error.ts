/**
 * The connection that a statement was meant for, or was on, is gone. The codes are those that `postgres` itself
 * uses: CONNECTION_ENDED where the statement was not sent, CONNECTION_CLOSED where it may have been.
 */
export class ConnectionLostError extends Error {
  override readonly name = "ConnectionLostError";
  readonly code: "CONNECTION_ENDED" | "CONNECTION_CLOSED";

  constructor(options: {
    readonly sent: "no" | "maybe";
    readonly message?: string;
    readonly cause?: unknown;
  }) {
    const { sent, message = "The connection to PostgreSQL is gone.", cause } = options;
    super(message, { cause });
    this.code = sent === "no" ? "CONNECTION_ENDED" : "CONNECTION_CLOSED";
  }
}
