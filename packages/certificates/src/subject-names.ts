import { isIP } from "node:net";
import { CertificatesError } from "./certificates-error.ts";

/** One of the subject alternative names of a certificate. */
export interface SubjectName {
  readonly type: "url" | "dns" | "ip" | "email";
  readonly value: string;
}

// A folder is named after it, and it stands in one DNS label and in the common name, which end at 63 and 64.
const NAME = /^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$/;
const HOST = /^[a-z0-9_](?:[a-z0-9._-]{0,251}[a-z0-9_])?$/i;

/** Where the authority itself is kept, beside those that it issues certificates to. */
export const AUTHORITY = "authority";

/** Whom a certificate is for, and the hosts that a server with it may be reached at: those of this machine too. */
export function namesFor(name: string, hosts: readonly string[] = []): readonly SubjectName[] {
  const all = new Set(["localhost", name, "127.0.0.1", "::1", ...hosts].map(toCanonical));
  return [{ type: "url", value: uriOf(name) }, ...[...all].map(toHost)];
}

/** How a certificate says whom it is for. */
export function uriOf(name: string): string {
  return `tandem://${name}`;
}

/** Fails with a CertificatesError where no certificate can be issued to this name. */
export function checkName(name: string): void {
  if (name === AUTHORITY) {
    throw new CertificatesError(`The name ${AUTHORITY} is taken by the authority itself: choose another.`);
  }
  if (NAME.test(name)) return;
  throw new CertificatesError(
    `${JSON.stringify(name)} can't be the name on a certificate: that has up to 63 lower-case letters, digits, dots, hyphens and underscores, with a letter or a digit at both ends.`,
  );
}

/** Fails with a CertificatesError where this is neither a host's name nor an IP address. */
export function checkHost(host: string): void {
  if (isHost(host)) return;
  throw new CertificatesError(`${JSON.stringify(host)} is neither a host's name nor an IP address.`);
}

/** Whether this is a host's name or an IP address. */
export function isHost(host: string): boolean {
  return isIP(host) !== 0 || HOST.test(host);
}

// An IPv6 address can be written in several ways, and Node reads it from a certificate in the longest.
function toCanonical(host: string): string {
  return isIP(host) === 6 ? new URL(`http://[${host}]`).hostname.slice(1, -1) : host.toLowerCase();
}

function toHost(host: string): SubjectName {
  return { type: isIP(host) === 0 ? "dns" : "ip", value: host };
}
