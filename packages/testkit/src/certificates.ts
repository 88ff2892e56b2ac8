// The library behind it resolves its parts by decorators and needs this first.
// oxlint-disable-next-line import/no-unassigned-import
import "reflect-metadata";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import type { webcrypto } from "node:crypto";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** One name in a certificate's subject alternative names. */
export interface CertificateName {
  readonly type: "url" | "dns" | "ip" | "email";
  readonly value: string;
}

export interface IssueOptions {
  /** `tandem://<name>`, and the hosts of this machine, where they aren't said. */
  readonly names?: readonly CertificateName[];
  /** It was valid until an hour ago. */
  readonly expired?: boolean;
  /** A day from now where it isn't said. */
  readonly validUntil?: Date;
}

/** What a process needs to show who it is: both in PEM. */
export interface IssuedCertificate {
  readonly certificate: string;
  readonly key: string;
}

/** The paths of what a process reads, as the options of a server and of a channel name them. */
export interface CertificateFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly authorityFile: string;
}

/** An authority for development and tests. Its key lives in this process alone. */
export interface DevelopmentAuthority {
  /** Its own certificate in PEM: what others trust. */
  readonly certificate: string;
  /** A new key and a certificate for it, for a server as well as for a client. */
  issue(name: string, options?: IssueOptions): Promise<IssuedCertificate>;
}

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const LIFE_OF_AUTHORITY_MS = 365 * DAY_MS;

/** Makes an authority, trusted by nobody until its certificate is put into an authority file. */
export async function createDevelopmentAuthority(name = "tandem development"): Promise<DevelopmentAuthority> {
  const keys = await createKeys();
  const root = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    ...period(Date.now() + LIFE_OF_AUTHORITY_MS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return {
    certificate: root.toString("pem"),
    issue: (subject, options = {}) => issue({ root, signingKey: keys.privateKey }, subject, options),
  };
}

/**
 * Writes a certificate, its key and the authorities to trust into a folder, each under another name first: a
 * reader never sees half a file. Between two of them it may: a certificate with the key of the one before.
 */
export async function writeCertificateFiles(
  folder: string,
  issued: IssuedCertificate,
  authorities: readonly DevelopmentAuthority[],
): Promise<CertificateFiles> {
  const files = {
    certificateFile: join(folder, "certificate.pem"),
    keyFile: join(folder, "key.pem"),
    authorityFile: join(folder, "authority.pem"),
  };
  await mkdir(folder, { recursive: true });
  await replaceFile(files.certificateFile, issued.certificate);
  await replaceFile(files.keyFile, issued.key);
  await replaceFile(files.authorityFile, authorities.map(({ certificate }) => certificate).join("\n"));
  return files;
}

/** Writes a file that only its owner can read, at once: who reads it sees the old text or the new one. */
export async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

async function issue(
  issuer: { readonly root: X509Certificate; readonly signingKey: webcrypto.CryptoKey },
  subject: string,
  options: IssueOptions,
): Promise<IssuedCertificate> {
  const keys = await createKeys();
  const now = Date.now();
  const until = options.expired === true ? now - HOUR_MS : (options.validUntil?.getTime() ?? now + DAY_MS);
  const certificate = await X509CertificateGenerator.create({
    subject: `CN=${subject}`,
    issuer: issuer.root.subject,
    ...period(until),
    publicKey: keys.publicKey,
    signingKey: issuer.signingKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      await AuthorityKeyIdentifierExtension.create(issuer.root),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension([...(options.names ?? namesOf(subject))]),
    ],
  });
  const key = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return { certificate: certificate.toString("pem"), key: PemConverter.encode(key, "PRIVATE KEY") };
}

function namesOf(subject: string): readonly CertificateName[] {
  return [
    { type: "url", value: `tandem://${subject}` },
    { type: "dns", value: "localhost" },
    { type: "ip", value: "127.0.0.1" },
    { type: "ip", value: "::1" },
  ];
}

// It starts a day early, so that neither an expired one nor a machine whose clock is behind is a special case.
function period(until: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(until) };
}

function createKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}
