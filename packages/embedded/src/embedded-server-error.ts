/** Why an embedded server could not be started. */
export type EmbeddedServerErrorReason =
  | "ABORTED"
  | "ALREADY_RUNNING"
  | "DATA_FOLDER_UNUSABLE"
  | "INITIALISATION_FAILED"
  | "NO_BINARIES"
  | "NO_OS_USER"
  | "OTHER_MAJOR_VERSION"
  | "PORT_TAKEN"
  | "START_FAILED";

/**
 * A foreseeable reason for which there is no server. Its message is one or more plain sentences that
 * can be shown to a person as they are, and that say what to do where something can be done.
 */
export class EmbeddedServerError extends Error {
  override readonly name = "EmbeddedServerError";
  readonly reason: EmbeddedServerErrorReason;

  constructor(reason: EmbeddedServerErrorReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}
