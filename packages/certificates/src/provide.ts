import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  CERTIFICATE_MODE,
  filesIn,
  type KeptAuthority,
  OWNER_ONLY_FOLDER,
  provideAuthority,
} from "./authority-folder.ts";
import { CertificatesError } from "./certificates-error.ts";
import { type Kept, type IssueReason, lookAt } from "./look.ts";
import { DAY_MS, DAYS_BY_DEFAULT } from "./lifetimes.ts";
import { makeFolder, replaceFiles } from "./replace-file.ts";
import { checkHost, checkName, namesFor } from "./subject-names.ts";

export type { IssueReason } from "./look.ts";

export interface ProvideOptions<N extends string = string> {
  /** Where authority and certificates are kept. It is made where it isn't there. */
  readonly folder: string;
  /** Who is to have a certificate: it says `tandem://NAME`. */
  readonly names: readonly N[];
  /** Hosts that all of them may be reached at, beyond this machine and a host of their own name. */
  readonly hosts?: readonly string[];
  /** How long what is issued now is valid: 365 where it isn't said, and never longer than the authority. */
  readonly days?: number;
  /** Issues everybody's anew, also where nothing is wrong with it. */
  readonly renew?: boolean;
}

/** Where one name's certificate is. */
export interface ProvidedCertificate {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly validUntil: Date;
  /** Why it was issued just now; undefined where it was left alone. */
  readonly issued: IssueReason | undefined;
}

/** Where everything is, in absolute paths. */
export interface ProvidedCertificates<N extends string = string> {
  readonly authorityFile: string;
  readonly authorityValidUntil: Date;
  /** Whether there was no authority before. */
  readonly authorityMade: boolean;
  readonly of: Readonly<Record<N, ProvidedCertificate>>;
}

const ATTEMPTS = 10;
const PAUSE_MS = 20;

/**
 * Sees to it that there is an authority for development, and a certificate of it for each name. What is there and
 * good stays as it is, so this can be called at each start: it issues what is missing, belongs to another authority,
 * doesn't name all hosts, or ends within 30 days. Hosts that a certificate names already stay in the next one.
 *
 * Keys are readable to their owner alone, and every file is replaced whole. Several processes may do this at once
 * in the same folder. Fails with a CertificatesError, a sentence for whoever called.
 */
export async function provideCertificates<const N extends string>(
  options: ProvideOptions<N>,
): Promise<ProvidedCertificates<N>> {
  const { names, hosts = [], days = DAYS_BY_DEFAULT } = options;
  const folder = resolve(options.folder);
  names.forEach(checkName);
  hosts.forEach(checkHost);
  if (!(days > 0)) throw new RangeError("days must be above 0.");
  try {
    await makeFolder(folder, OWNER_ONLY_FOLDER);
    const authority = await provideAuthority(folder);
    const of: Partial<Record<N, ProvidedCertificate>> = {};
    for (const name of new Set(names)) of[name] = await provideOne({ ...options, folder, name }, authority);
    return {
      authorityFile: authority.certificateFile,
      authorityValidUntil: authority.certificate.validToDate,
      authorityMade: authority.made,
      of: of as Record<N, ProvidedCertificate>,
    };
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause)) throw cause;
    throw new CertificatesError(`${folder} can't hold certificates: ${cause.message}.`, { cause });
  }
}

interface Wanted extends ProvideOptions {
  readonly name: string;
}

// Certificate and key are two files, and another process may write them at the same time, so that what is there in
// the end is the certificate of one and the key of the other. Whoever writes last also looks last, and mends it; the
// pauses keep several from getting into each other's way for ever.
async function provideOne(wanted: Wanted, authority: KeptAuthority): Promise<ProvidedCertificate> {
  const own = join(wanted.folder, wanted.name);
  let issued: IssueReason | undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    if (attempt > 1) await delay(Math.random() * attempt * PAUSE_MS);
    const kept = await lookAt(own, wanted, authority.certificate);
    const mustRenew = wanted.renew === true && issued === undefined;
    if (kept.reason === undefined && !mustRenew) {
      return { ...filesIn(own), validUntil: kept.validUntil, issued };
    }
    issued = kept.reason ?? "renewed";
    await issueInto(own, wanted, { authority, hosts: kept.hosts });
  }
  throw new CertificatesError(`Another process keeps on issuing to ${wanted.name} in ${wanted.folder}.`);
}

async function issueInto(
  own: string,
  wanted: Wanted,
  { authority, hosts: kept }: { readonly authority: KeptAuthority; readonly hosts: Kept["hosts"] },
): Promise<void> {
  const { name, hosts = [], days = DAYS_BY_DEFAULT } = wanted;
  const { issueCertificate } = await import("./authority.ts");
  const until = Math.min(Date.now() + days * DAY_MS, authority.certificate.validToDate.getTime());
  const { certificate, key } = await issueCertificate(authority.pair, {
    subject: name,
    names: namesFor(name, [...kept, ...hosts]),
    validUntil: new Date(until),
  });
  await makeFolder(own, OWNER_ONLY_FOLDER);
  const { certificateFile, keyFile } = filesIn(own);
  await replaceFiles([
    { path: keyFile, text: key },
    { path: certificateFile, text: certificate, mode: CERTIFICATE_MODE },
  ]);
}
