/**
 * A foreseeable reason for which the pair is not or no longer up. The message is a plain sentence for
 * whoever started it.
 */
export class LocalError extends Error {
  override readonly name = "LocalError";
}
