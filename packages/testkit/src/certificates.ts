import { replaceFile } from "@tandem/certificates";
import {
  type CertificateRequest,
  createAuthority,
  issueCertificate,
  namesFor,
  type PemPair,
} from "@tandem/certificates/authority";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

export interface IssueOptions {
  /** What a certificate of that name says where it isn't said. A service would never be given another. */
  readonly names?: CertificateRequest["names"];
  /** It was valid until an hour ago. */
  readonly expired?: boolean;
  /** A day from now where it isn't said. */
  readonly validUntil?: Date;
}

/** The paths of what a process reads, as the options of a server and of a channel name them. */
export interface CertificateFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly authorityFile: string;
}

/** An authority for one test, which issues what no service is to have, too. Its key lives in this process alone. */
export interface DevelopmentAuthority {
  /** Its own certificate in PEM: what others trust. */
  readonly certificate: string;
  /** A new key and a certificate for it, for a server as well as for a client. */
  issue(name: string, options?: IssueOptions): Promise<PemPair>;
  /** An authority that this one vouches for, and that nobody need trust but for that. */
  issueAuthority(name: string): Promise<DevelopmentAuthority>;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Makes an authority, trusted by nobody until its certificate is put into an authority file. */
export async function createDevelopmentAuthority(name = "Tandem test"): Promise<DevelopmentAuthority> {
  return toDevelopmentAuthority(await createAuthority({ commonName: name, authoritiesBelow: 1 }));
}

function toDevelopmentAuthority(authority: PemPair): DevelopmentAuthority {
  return {
    certificate: authority.certificate,
    issue: (subject, { names = namesFor(subject), expired = false, validUntil } = {}) => {
      const now = Date.now();
      const until = expired ? new Date(now - HOUR_MS) : (validUntil ?? new Date(now + DAY_MS));
      return issueCertificate(authority, { subject, names, validUntil: until });
    },
    issueAuthority: async (commonName) =>
      toDevelopmentAuthority(await createAuthority({ commonName, issuer: authority })),
  };
}

/** Writes a certificate, its key and the authorities to trust into a folder, each file whole, one after the other. */
export async function writeCertificateFiles(
  folder: string,
  issued: PemPair,
  authorities: readonly Pick<PemPair, "certificate">[],
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
