import type { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { filesIn } from "./authority-folder.ts";
import { renewalTime } from "./lifetimes.ts";
import { type PemPair, readPair } from "./pem-pair.ts";
import { isMissing } from "./replace-file.ts";
import { isHost, uriOf } from "./subject-names.ts";

/**
 * Why a certificate is issued: there was none, what was there can't be used, another authority issued it, it ends
 * soon, it doesn't name all hosts, or it was asked for.
 */
export type IssueReason =
  | "missing"
  | "unusable"
  | "of another authority"
  | "ends soon"
  | "lacks a host"
  | "renewed";

/** What is there for a name. */
export type Kept = {
  /** The hosts that its certificate names: none where there is none. */
  readonly hosts: readonly string[];
} & (
  | { readonly reason: undefined; readonly validUntil: Date }
  | { readonly reason: Exclude<IssueReason, "renewed"> }
);

/** Looks whether the certificate in a folder can stay. Fails where a file is there and can't be read. */
export async function lookAt(
  folder: string,
  wanted: { readonly name: string; readonly hosts?: readonly string[] },
  authority: X509Certificate,
): Promise<Kept> {
  const pair = await readFiles(folder);
  if (pair === undefined) return { hosts: [], reason: "missing" };
  let certificate: X509Certificate;
  try {
    certificate = readPair(pair);
  } catch {
    // Half of a pair, or something else altogether: nobody can use it either.
    return { hosts: [], reason: "unusable" };
  }
  const hosts = hostsOf(certificate);
  const reason = reasonFor(certificate, wanted, authority);
  return reason === undefined ? { hosts, reason, validUntil: certificate.validToDate } : { hosts, reason };
}

function reasonFor(
  certificate: X509Certificate,
  { name, hosts = [] }: { readonly name: string; readonly hosts?: readonly string[] },
  authority: X509Certificate,
): Kept["reason"] {
  if (!certificate.checkIssued(authority) || !certificate.verify(authority.publicKey)) {
    return "of another authority";
  }
  const names = namesOf(certificate);
  if (!names.includes(`URI:${uriOf(name)}`)) return "unusable";
  if (!hosts.every((host) => covers(certificate, host))) return "lacks a host";
  const { validFromDate: from, validToDate: until } = certificate;
  // What ends with the authority can't be had for longer.
  const isLast = until.getTime() >= authority.validToDate.getTime();
  return !isLast && renewalTime({ from, until }) <= Date.now() ? "ends soon" : undefined;
}

function covers(certificate: X509Certificate, host: string): boolean {
  return (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) !== undefined;
}

async function readFiles(folder: string): Promise<PemPair | undefined> {
  const { certificateFile, keyFile } = filesIn(folder);
  try {
    return { certificate: await readFile(certificateFile, "utf8"), key: await readFile(keyFile, "utf8") };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function hostsOf(certificate: X509Certificate): string[] {
  return namesOf(certificate)
    .filter((name) => /^(?:DNS|IP Address):/.test(name))
    .map((name) => name.slice(name.indexOf(":") + 1))
    .filter(isHost);
}

function namesOf(certificate: X509Certificate): string[] {
  return certificate.subjectAltName?.split(", ") ?? [];
}
