/** A server could not be given Tandem's roles and databases; the message is for whoever starts it. */
export class BootstrapError extends Error {
  override readonly name = "BootstrapError";

  constructor(message: string, cause?: unknown) {
    super(message, { cause });
  }
}
