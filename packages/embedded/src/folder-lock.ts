import { createHash, randomBytes } from "node:crypto";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isMissing } from "./file-error.ts";
import { processIdentity } from "./process-identity.ts";

const timeoutMs = 5_000;

/** A folder that this process has for itself until it releases it or ends. */
export interface FolderLock {
  /** Whether an earlier holder was found to have died, so that what it left may still be ending. */
  readonly predecessorDied: boolean;
  release(): Promise<void>;
}

/** Another living process (or this one) has the folder. */
export class FolderLockedError extends Error {
  override readonly name = "FolderLockedError";
  readonly pid: number;

  constructor(folder: string, pid: number) {
    super(`Process ${pid} has locked ${folder}.`);
    this.pid = pid;
  }
}

// Everybody who wants the folder puts a claim there, a file, and then looks for those of the others. Who
// finds none holds the folder: of two at the same time, at least the later sees the earlier. Nobody's
// file is ever replaced or renamed, so that what the dead have left can be deleted by anybody.
interface Claim {
  readonly name: string;
  readonly pid: number;
  readonly held: boolean;
}

/**
 * Locks a folder with a file in it that names the holder. A holder that was killed blocks nobody: the
 * name tells the process from a later one with the same pid.
 *
 * @throws FolderLockedError while another holds it
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const identity = identityHash(await processIdentity(process.pid));
  const name = `lock-${process.pid}-${identity}-${randomBytes(4).toString("hex")}`;
  const file = join(folder, name);
  const withdraw = (): Promise<void> => rm(file, { force: true });
  const deadline = performance.now() + timeoutMs;
  let claimed = false;
  let predecessorDied = false;
  while (performance.now() < deadline) {
    const { rivals, dead } = await findRivals(folder, name);
    predecessorDied ||= dead > 0;
    const holder = rivals.find(({ held }) => held);
    if (holder !== undefined) {
      await withdraw();
      throw new FolderLockedError(folder, holder.pid);
    }
    if (rivals.some((rival) => rival.name < name)) {
      // The lowest name insists, so that they don't give way to each other for ever.
      await withdraw();
      claimed = false;
      await delay(5);
    } else if (!claimed) {
      await writeFile(file, "trying");
      claimed = true;
    } else if (rivals.length > 0) {
      await delay(2);
    } else {
      await writeFile(file, "held");
      return { predecessorDied, release: withdraw };
    }
  }
  await withdraw();
  throw new Error(`${folder} could not be locked within ${timeoutMs / 1000} s: too many try to.`);
}

async function findRivals(folder: string, own: string): Promise<{ rivals: Claim[]; dead: number }> {
  const rivals: Claim[] = [];
  let dead = 0;
  for (const name of await readdir(folder)) {
    const [, pidText, identity] = /^lock-(\d+)-(\w+)-\w+$/.exec(name) ?? [];
    if (pidText === undefined || name === own) continue;
    const file = join(folder, name);
    const pid = Number(pidText);
    if (identityHash(await processIdentity(pid)) === identity) {
      rivals.push({ name, pid, held: (await contentOf(file)) === "held" });
    } else {
      dead++;
      await rm(file, { force: true });
    }
  }
  return { rivals, dead };
}

async function contentOf(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (isMissing(error)) return "";
    throw error;
  }
}

function identityHash(identity: string | undefined): string {
  return identity === undefined ? "none" : createHash("sha256").update(identity).digest("hex").slice(0, 12);
}
