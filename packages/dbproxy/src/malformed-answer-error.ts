/**
 * What came back is not what the contract says: a peer of another version, or something in between. For
 * this package's own use; the caller gets a TransportError.
 */
export class MalformedAnswerError extends Error {
  override readonly name = "MalformedAnswerError";
}
