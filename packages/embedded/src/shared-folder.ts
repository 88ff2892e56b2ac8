import { lstat } from "node:fs/promises";

/**
 * Where root keeps what the server's user must reach and can't reach in its wanted place; the first
 * that can be used is taken. /var/tmp is for systems whose /var/lib is read-only.
 */
export const sharedFolders: readonly string[] = ["/var/lib/tandem", "/var/tmp/tandem"];

/**
 * Whether only root can have put something there. A name in a folder like /var/tmp may have been made
 * by anybody, with programs or data of their own in it.
 */
export async function isRootsOwn(folder: string): Promise<boolean> {
  const found = await lstat(folder).catch(() => undefined);
  return found !== undefined && found.isDirectory() && found.uid === 0 && (found.mode & 0o022) === 0;
}
