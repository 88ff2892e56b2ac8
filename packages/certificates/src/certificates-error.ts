/** Certificates can't be provided. The message is a sentence for the person who asked for them. */
export class CertificatesError extends Error {
  override readonly name = "CertificatesError";
}
