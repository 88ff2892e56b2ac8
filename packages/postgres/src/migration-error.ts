/** Why a database could not be brought up to date. */
export type MigrationFailure =
  /** The migrations themselves can't be used: a defect of the release. */
  | "UNREADABLE"
  /** One that was applied is not what it was. */
  | "CHANGED"
  /** The database was not prepared by `bootstrapCluster`. */
  | "NOT_PREPARED"
  /** Another process migrates, or holds a lock on the tables, for longer than this one waits. */
  | "LOCKED"
  | "STATEMENT_FAILED"
  /** Before COMMIT: nothing was applied. */
  | "CONNECTION_LOST"
  /** During COMMIT: the next start finds out, and loses nothing by it. */
  | "OUTCOME_UNKNOWN";

/** Nothing was applied, except where the outcome is unknown. The message is for whoever runs the service. */
export class MigrationError extends Error {
  override readonly name = "MigrationError";
  readonly failure: MigrationFailure;
  /** Whether starting again may do. */
  readonly passing: boolean;

  constructor(options: { failure: MigrationFailure; message: string; cause?: unknown }) {
    super(options.message, { cause: options.cause });
    this.failure = options.failure;
    this.passing = ["LOCKED", "CONNECTION_LOST", "OUTCOME_UNKNOWN"].includes(options.failure);
  }
}
