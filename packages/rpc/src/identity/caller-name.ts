/** A callers' name that a certificate, a token or a setting gives can't be one. The message says why. */
export class CallerNameError extends Error {
  override readonly name = "CallerNameError";
}

// A name is written into logs, receipts and rules: nothing in it may need quoting anywhere.
const NAME = /^[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?$/;
const URI = /^[a-z][a-z0-9+.-]*:\/\/[A-Za-z0-9._~/-]{1,200}$/;
const OWN_SCHEME = "tandem://";

/** Checks a name as settings, rules and tokens write it. Fails with a CallerNameError. */
export function checkCallerName(name: string): string {
  if (NAME.test(name) || (URI.test(name) && !name.startsWith(OWN_SCHEME))) return name;
  throw new CallerNameError(
    "a caller's name has lower-case letters, digits, dots, hyphens and underscores, or is a URI of another scheme than tandem",
  );
}

/**
 * Who a certificate is for, by its subject alternative names as Node writes them: its one URI; if it has no
 * URI, its one DNS name. `tandem://gateway` is `gateway`; another URI (`spiffe://…`) stands as it is. None, or
 * more than one, fails with a CallerNameError, and so does what can't be read without doubt.
 */
export function callerOfNames(subjectAltName: string | undefined): string {
  const names = (subjectAltName ?? "").split(", ");
  // Node quotes what could be taken for several names. Nobody's name needs that.
  if (subjectAltName?.includes('"') === true) throw new CallerNameError("the certificate's names need quoting");
  const uris = withPrefix(names, "URI:");
  const [only, second] = uris.length > 0 ? uris : withPrefix(names, "DNS:");
  if (only === undefined) throw new CallerNameError("the certificate has neither a URI nor a DNS name");
  if (second !== undefined) throw new CallerNameError("the certificate names more than one caller");
  return checkCallerName(only.startsWith(OWN_SCHEME) ? only.slice(OWN_SCHEME.length) : only);
}

function withPrefix(names: readonly string[], prefix: string): string[] {
  return names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
}
