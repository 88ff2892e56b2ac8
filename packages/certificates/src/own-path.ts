import { stat } from "node:fs/promises";
import { CertificatesError } from "./certificates-error.ts";
import { isMissing } from "./replace-file.ts";

const WRITABLE_TO_OTHERS = 0o022;
const ROOT = 0;

/**
 * Sees to it that nobody but this user, and root, decides what is in a file or a folder: whoever could would be anybody
 * to those who trust it. What isn't there passes. Fails with a CertificatesError.
 */
export async function checkOwn(path: string): Promise<void> {
  const us = process.geteuid?.();
  // Windows, where neither owner nor mode says anything.
  if (us === undefined) return;
  const found = await stat(path).catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  if (found === undefined) return;
  if (found.uid !== us && found.uid !== ROOT) {
    throw new CertificatesError(
      `${path} belongs to another user (${found.uid}), who could make certificates in anybody's name with it: take another folder, or run this as that user.`,
    );
  }
  if ((found.mode & WRITABLE_TO_OTHERS) !== 0) {
    throw new CertificatesError(
      `${path} can be written by other users, who could make certificates in anybody's name with it: take another folder, or, if nobody has changed it, run "chmod go-w ${path}".`,
    );
  }
}
