import { X509Certificate } from "node:crypto";

/** The certificates of the authorities that a server trusts now. */
export type Authorities = readonly X509Certificate[];

const PEM = /-----BEGIN ([A-Z0-9 ]*CERTIFICATE)-----[\s\S]*?-----END \1-----/g;

/** Reads every certificate of a file of authorities. Fails with an Error where there is none, or one can't be read. */
export function parseAuthorities(pem: Buffer): Authorities {
  const authorities = (pem.toString("latin1").match(PEM) ?? []).map((text) => new X509Certificate(text));
  if (authorities.length === 0) throw new Error("there is no certificate in the authorities' file");
  return authorities;
}

/**
 * Until when these authorities vouch for a certificate; 0 where they don't. It follows who issued it to one of them
 * that vouches for itself, as OpenSSL did when it accepted the certificate; what doesn't depend on who is trusted, such as
 * what a certificate may be used for, was found out then.
 */
export function vouchedUntil(certificate: X509Certificate, authorities: Authorities): number {
  const seen = new Set<X509Certificate>();
  const until = (subject: X509Certificate): number => {
    seen.add(subject);
    let latest = 0;
    for (const issuer of authorities) {
      if (seen.has(issuer) || !hasIssued(issuer, subject)) continue;
      latest = Math.max(latest, hasIssued(issuer, issuer) ? endOf(issuer) : until(issuer));
    }
    return Math.min(latest, endOf(subject));
  };
  return until(certificate);
}

/** Those of the first that are not among the second. */
export function without(authorities: Authorities, others: Authorities): Authorities {
  const left = new Set(others.map(({ fingerprint256 }) => fingerprint256));
  return authorities.filter(({ fingerprint256 }) => !left.has(fingerprint256));
}

function hasIssued(issuer: X509Certificate, subject: X509Certificate): boolean {
  return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
}

function endOf({ validFromDate: from, validToDate: until }: X509Certificate): number {
  return from.getTime() <= Date.now() ? until.getTime() : 0;
}
