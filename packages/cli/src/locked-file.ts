import { type FileHandle, mkdir, open, readFile, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { CommandError } from "./command-error.ts";
import { shortPath } from "./config.ts";

/** How long a command waits for another one that changes the same file. */
export const LOCK_TIMEOUT_MS = 5_000;

const POLL_MS = 10;
const OWNER_ONLY = 0o600;
const PERMISSIONS = 0o777;
// The owner's group may read it: the services may run as somebody else.
const FOR_OTHERS_TOO = 0o027;

/**
 * Changes a file as a whole: who reads it finds the old text or the new one, and of two who change it at the same
 * time, the second sees what the first has made of it. A file that isn't there counts as empty; one that is keeps its
 * owner and its mode. `change` gives the new text, or undefined where there is nothing to change.
 *
 * The draft is the lock, as with git: it is made only where it isn't there, and renaming it publishes the text and
 * releases the file at once. A process that is killed in between leaves it, and then somebody has to delete it.
 *
 * Fails with a CommandError where the file can't be read or written, or is locked for longer than LOCK_TIMEOUT_MS.
 */
export async function changeFile(
  path: string,
  change: (text: string) => string | undefined,
  timeoutMs: number = LOCK_TIMEOUT_MS,
): Promise<void> {
  await orSentence(path, "changed", async () => {
    const file = await targetOf(path);
    const draft = `${file}.lock`;
    const handle = await openDraft(draft, timeoutMs);
    let published = false;
    try {
      const changed = change((await readIfThere(file)) ?? "");
      if (changed === undefined) return;
      await handle.writeFile(changed);
      await keepOwnerAndMode(file, handle);
      await handle.sync();
      await rename(draft, file);
      published = true;
    } finally {
      await handle.close();
      // Once it is renamed, a draft of that name is another process's.
      if (!published) await rm(draft);
    }
  });
}

/** Makes the folder of a file that may be about to be made. Never fails: where it couldn't, making the file says why. */
export async function makeFolderOf(file: string): Promise<void> {
  // One folder only: a path with more that isn't there is more likely a slip.
  await mkdir(dirname(file)).catch(() => {
    // It is there, or the file's failure says why not.
  });
}

/** What is in a file; undefined where it isn't there. Fails with a CommandError where it can't be read. */
export async function readText(path: string): Promise<string | undefined> {
  return orSentence(path, "read", () => readIfThere(path));
}

/** A sentence where others than a file's owner and its group's readers get to it; undefined where they don't. */
export async function describeExposure(path: string): Promise<string | undefined> {
  const { mode } = await stat(path);
  if ((mode & FOR_OTHERS_TOO) === 0) return undefined;
  const permissions = (mode & PERMISSIONS).toString(8).padStart(4, "0");
  return `${shortPath(path)} has the mode ${permissions}, so that others can ${(mode & 0o022) === 0 ? "read" : "change"} it. It was left so: if no server needs that, run "chmod 640 ${shortPath(path)}".`;
}

async function openDraft(draft: string, timeoutMs: number): Promise<FileHandle> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await open(draft, "wx", OWNER_ONLY);
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
    }
    if (performance.now() >= deadline) {
      throw new CommandError(
        `${shortPath(draft)} is in the way: another command is changing the file, or was killed while it did. Nothing was changed. If no other command is running, delete ${shortPath(draft)} and run this one again. If it can't wait, edit the file itself by hand: the servers read it again.`,
      );
    }
    await delay(POLL_MS);
  }
}

// Neither who runs the command with sudo nor a mode that we would rather see may shut out the service that reads the file.
async function keepOwnerAndMode(file: string, draft: FileHandle): Promise<void> {
  const before = await stat(file).catch(() => undefined);
  if (before === undefined) return;
  const own = await draft.stat();
  if (before.uid !== own.uid || before.gid !== own.gid) {
    await draft.chown(before.uid, before.gid).catch((cause: unknown) => {
      throw new CommandError(
        `${shortPath(file)} belongs to user ${before.uid} and group ${before.gid}, who would lose it: run this as that user, or as root.`,
        { cause },
      );
    });
  }
  await draft.chmod(before.mode & PERMISSIONS);
}

// Renaming onto a link would put a file in its place, and leave what it leads to as it was.
async function targetOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return path;
    throw error;
  }
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function orSentence<T>(path: string, what: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    if (codeOf(cause) === undefined) throw cause;
    throw new CommandError(`${shortPath(path)} can't be ${what}: ${(cause as Error).message}.`, { cause });
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
