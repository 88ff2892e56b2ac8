/** What a certificate, a token or a setting gives as a caller's name can't be one. The message says why. */
export class CallerNameError extends Error {
  override readonly name = "CallerNameError";
}

// A name is written into logs, receipts and rules: nothing in it may need quoting anywhere.
const NAME = /^[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?$/;
const URI = /^[a-z][a-z0-9+.-]*:\/\/[A-Za-z0-9._~/-]{1,200}$/;
const OWN_SCHEME = "tandem://";
const ALLOWED =
  "a caller's name has lower-case letters, digits, dots, hyphens and underscores, or is a URI of another scheme than tandem";

/** Checks a name as settings, rules and tokens write it. Fails with a CallerNameError. */
export function checkCallerName(name: string): string {
  return name.includes("://") ? fromUri(name, false) : plainName(name);
}

/**
 * Who a certificate is for, by its subject alternative names as Node writes them: its one URI; if it has no
 * URI, its one DNS name. `tandem://gateway` is `gateway`; another URI (`spiffe://…`) stands as it is. None, or
 * more than one, fails with a CallerNameError, and so does what can't be read without doubt.
 */
export function callerOfNames(subjectAltName: string | undefined): string {
  // Node quotes what could be taken for several names. Nobody's name needs that.
  if (subjectAltName?.includes('"') === true)
    throw new CallerNameError("the certificate's names need quoting");
  const names = (subjectAltName ?? "").split(", ");
  const uris = withPrefix(names, "URI:");
  const [only, second] = uris.length > 0 ? uris : withPrefix(names, "DNS:");
  if (only === undefined) throw new CallerNameError("the certificate has neither a URI nor a DNS name");
  if (second !== undefined) throw new CallerNameError("the certificate names more than one caller");
  return uris.length > 0 ? fromUri(only, true) : plainName(only);
}

function fromUri(uri: string, own: boolean): string {
  if (own && uri.startsWith(OWN_SCHEME)) return plainName(uri.slice(OWN_SCHEME.length));
  if (URI.test(uri) && !uri.startsWith(OWN_SCHEME)) return uri;
  throw new CallerNameError(ALLOWED);
}

function plainName(name: string): string {
  if (NAME.test(name)) return name;
  throw new CallerNameError(ALLOWED);
}

function withPrefix(names: readonly string[], prefix: string): string[] {
  return names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
}
