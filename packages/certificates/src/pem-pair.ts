import { createPrivateKey, X509Certificate } from "node:crypto";

/** A certificate and its private key, both in PEM: a process's, or an authority's. */
export interface PemPair {
  readonly certificate: string;
  readonly key: string;
}

/** Reads a certificate; fails with an Error where the text isn't one, or where the key is another's. */
export function readPair(pair: PemPair): X509Certificate {
  const certificate = new X509Certificate(pair.certificate);
  if (!certificate.checkPrivateKey(createPrivateKey(pair.key))) {
    throw new Error("its key belongs to another certificate");
  }
  return certificate;
}
