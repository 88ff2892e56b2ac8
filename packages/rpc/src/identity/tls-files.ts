import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { parseAuthorities } from "./vouched.ts";
import { type CredentialsFileError, type WatchedFiles, watchFiles } from "./watched-files.ts";

/** The files, in PEM, that say who a process is and whom it trusts. They are read again while it runs. */
export interface TlsFiles {
  /** Its certificate, and those between it and the authority's where there are some. */
  readonly certificateFile: string;
  readonly keyFile: string;
  /** The certificates of the authorities whose certificates are trusted. Nothing else is. */
  readonly authorityFile: string;
}

/** What a connection is made with. */
export interface TlsMaterial {
  readonly ca: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** Older versions have choices that can be made wrongly, and every grpc client of today speaks this one. */
export const MIN_TLS_VERSION = "TLSv1.3" satisfies SecureContextOptions["minVersion"];

/**
 * Reads the files and goes on reading them. Only files that fit together count: a certificate that was read
 * with the key of the one before is passed over, and the last that fitted stay in use.
 */
export function watchTlsFiles(
  files: Pick<TlsFiles, "authorityFile"> & Partial<TlsFiles>,
  options: { readonly pollMs: number; readonly onProblem: (problem: CredentialsFileError) => void },
): WatchedFiles<TlsMaterial> {
  const { authorityFile, certificateFile, keyFile } = files;
  if (certificateFile === undefined || keyFile === undefined) {
    if (certificateFile !== keyFile)
      throw new TypeError("A certificate needs its key, and a key its certificate.");
    return watchFiles({ ...options, files: [authorityFile], parse: toMaterial });
  }
  return watchFiles({ ...options, files: [authorityFile, certificateFile, keyFile], parse: toMaterial });
}

function toMaterial([ca, cert, key]: readonly Buffer[]): TlsMaterial {
  if (ca === undefined) throw new TypeError("There is no authority.");
  // A file without any would pass, and then nobody be trusted.
  parseAuthorities(ca);
  if (
    cert !== undefined &&
    key !== undefined &&
    !new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))
  ) {
    throw new TypeError("the certificate and the key don't belong together");
  }
  const material = { ca, ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) };
  createSecureContext(material);
  return material;
}
