import { createPrivateKey, type X509Certificate } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { CertificatesError } from "./certificates-error.ts";
import { checkOwn } from "./own-path.ts";
import { type PemPair, readPair } from "./pem-pair.ts";
import { draftOf, isMissing, writeNewFile } from "./replace-file.ts";
import { AUTHORITY } from "./subject-names.ts";

export const OWNER_ONLY_FOLDER = 0o700;
/** A certificate is nobody's secret: who may look into the folder may read it. */
export const CERTIFICATE_MODE = 0o644;

/** An authority whose files are in a folder. */
export interface KeptAuthority {
  readonly certificateFile: string;
  readonly certificate: X509Certificate;
  readonly pair: PemPair;
  /** Whether it was made just now. */
  readonly made: boolean;
}

/**
 * The authority that is kept below a folder; where there is none, one that is made now. One that is there and
 * can't be used is left as it is, and fails with a CertificatesError: somebody may trust it. So does one that somebody
 * else could have made.
 */
export async function provideAuthority(folder: string): Promise<KeptAuthority> {
  const own = join(folder, AUTHORITY);
  for (const path of [folder, own, ...Object.values(filesIn(own))]) await checkOwn(path);
  const made = (await isEmpty(own)) && (await makeAuthority(own));
  try {
    return { ...(await readAuthority(own)), made };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CertificatesError(
      `The authority in ${own} can't be used (${reason}): mend it, or delete that folder to have another, whose certificates nobody who trusts this one takes.`,
      { cause },
    );
  }
}

async function isEmpty(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).length === 0;
  } catch (error) {
    if (isMissing(error)) return true;
    throw error;
  }
}

// Key and certificate appear together, with the folder's name, which is given to the first who wants it: of two
// who make an authority at the same time, the second takes the first one's.
async function makeAuthority(folder: string): Promise<boolean> {
  const { createAuthority } = await import("./authority.ts");
  const authority = await createAuthority();
  const draft = draftOf(folder);
  try {
    await mkdir(draft, OWNER_ONLY_FOLDER);
    await writeNewFile(filesIn(draft).keyFile, authority.key);
    await writeNewFile(filesIn(draft).certificateFile, authority.certificate, CERTIFICATE_MODE);
    await rename(draft, folder);
    return true;
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    if (isTaken(error)) return false;
    throw error;
  }
}

async function readAuthority(folder: string): Promise<Omit<KeptAuthority, "made">> {
  const { certificateFile, keyFile } = filesIn(folder);
  const pair = {
    certificate: await readFile(certificateFile, "utf8"),
    key: await readFile(keyFile, "utf8"),
  };
  const certificate = readPair(pair);
  if (!certificate.ca) throw new Error("its certificate is not an authority's");
  if (certificate.validToDate.getTime() <= Date.now()) throw new Error("it has expired");
  if (createPrivateKey(pair.key).asymmetricKeyDetails?.namedCurve !== "prime256v1") {
    throw new Error("its key is not one of ECDSA with P-256");
  }
  return { certificateFile, certificate, pair };
}

/** Where the certificate and the key of one holder are. */
export function filesIn(folder: string): { readonly certificateFile: string; readonly keyFile: string } {
  return { certificateFile: join(folder, "certificate.pem"), keyFile: join(folder, "key.pem") };
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && "code" in error && ["ENOTEMPTY", "EEXIST"].includes(String(error.code));
}
