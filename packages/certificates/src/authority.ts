// The library behind it resolves its parts by decorators and needs this first.
// oxlint-disable-next-line import/no-unassigned-import
import "reflect-metadata";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  type Extension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  type X509CertificateCreateParams,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { createPrivateKey, type webcrypto } from "node:crypto";
import { DAY_MS, LIFE_OF_AUTHORITY_MS } from "./lifetimes.ts";
import type { PemPair } from "./pem-pair.ts";
import type { SubjectName } from "./subject-names.ts";

export type { PemPair } from "./pem-pair.ts";
export { namesFor, type SubjectName } from "./subject-names.ts";

/** What a certificate is to say. */
export interface CertificateRequest {
  /** Its common name, for people: nothing is decided by it. */
  readonly subject: string;
  /** Whom and what it is for. `namesFor(name)` are those that Tandem's services go by. */
  readonly names: readonly SubjectName[];
  /** A day ago where it isn't said, so that it is valid for a machine whose clock is behind. */
  readonly validFrom?: Date;
  readonly validUntil: Date;
}

export interface AuthorityOptions {
  /** What people see of it: no two authorities are the same for having the same name. */
  readonly commonName?: string;
  /** Ten years from now where it isn't said. */
  readonly validUntil?: Date;
  /** Who vouches for it: nobody but itself where it isn't said. */
  readonly issuer?: PemPair;
  /** How many authorities may stand between it and what they issue: none where it isn't said. */
  readonly authoritiesBelow?: number;
}

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** Makes an authority, trusted by nobody until its certificate is put into an authority file. */
export async function createAuthority(options: AuthorityOptions = {}): Promise<PemPair> {
  const {
    commonName = "Tandem development",
    validUntil = new Date(Date.now() + LIFE_OF_AUTHORITY_MS),
    issuer,
    authoritiesBelow = 0,
  } = options;
  const keys = await createKeys();
  const extensions = [
    new BasicConstraintsExtension(true, authoritiesBelow, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    await SubjectKeyIdentifierExtension.create(keys.publicKey),
  ];
  const name = [{ CN: [commonName] }];
  const signing = { ...toPeriod({ validUntil }), signingAlgorithm: ALGORITHM };
  const certificate =
    issuer === undefined
      ? await X509CertificateGenerator.createSelfSigned({ ...signing, name, keys, extensions })
      : await X509CertificateGenerator.create({
          ...signing,
          ...(await issuedBy(issuer, extensions)),
          subject: name,
          publicKey: keys.publicKey,
        });
  return toPair(certificate, keys.privateKey);
}

/** A new key, and the authority's certificate for it: for a server as well as for a client. */
export async function issueCertificate(authority: PemPair, request: CertificateRequest): Promise<PemPair> {
  const keys = await createKeys();
  const extensions = [
    new BasicConstraintsExtension(false, undefined, true),
    await SubjectKeyIdentifierExtension.create(keys.publicKey),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
    new SubjectAlternativeNameExtension([...request.names]),
  ];
  const certificate = await X509CertificateGenerator.create({
    ...(await issuedBy(authority, extensions)),
    ...toPeriod(request),
    subject: [{ CN: [request.subject] }],
    publicKey: keys.publicKey,
    signingAlgorithm: ALGORITHM,
  });
  return toPair(certificate, keys.privateKey);
}

async function issuedBy(
  authority: PemPair,
  extensions: readonly Extension[],
): Promise<Pick<X509CertificateCreateParams, "issuer" | "extensions"> & { signingKey: webcrypto.CryptoKey }> {
  const issuer = new X509Certificate(authority.certificate);
  return {
    issuer: issuer.subjectName,
    signingKey: createPrivateKey(authority.key).toCryptoKey(ALGORITHM, false, ["sign"]),
    extensions: [...extensions, await AuthorityKeyIdentifierExtension.create(issuer)],
  };
}

function toPeriod({ validFrom, validUntil }: Pick<CertificateRequest, "validFrom" | "validUntil">): {
  readonly notBefore: Date;
  readonly notAfter: Date;
} {
  // Also one that has expired has begun before.
  const aDayAgo = new Date(Math.min(Date.now(), validUntil.getTime()) - DAY_MS);
  return { notBefore: validFrom ?? aDayAgo, notAfter: validUntil };
}

function createKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

async function toPair(certificate: X509Certificate, privateKey: webcrypto.CryptoKey): Promise<PemPair> {
  const key = PemConverter.encode(await crypto.subtle.exportKey("pkcs8", privateKey), "PRIVATE KEY");
  return { certificate: `${certificate.toString("pem")}\n`, key: `${key}\n` };
}
