import { randomBytes } from "node:crypto";
import { renameSync } from "node:fs";
import { mkdir, open, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";

const OWNER_ONLY = 0o600;

export interface FileContent {
  readonly path: string;
  readonly text: string;
  /** Readable to its owner alone where it isn't said. */
  readonly mode?: number;
}

/** Writes a file whole: who reads it, at any time and also after a crash, finds the old text or the new one. */
export async function replaceFile(path: string, text: string): Promise<void> {
  await replaceFiles([{ path, text }]);
}

/** Writes each file whole, and gets them as near to one another as it can: nothing but a rename is in between. */
export async function replaceFiles(contents: readonly FileContent[]): Promise<void> {
  const drafts = contents.map((content) => ({ ...content, draft: draftOf(content.path) }));
  try {
    for (const { draft, text, mode } of drafts) await writeNewFile(draft, text, mode);
    // At once, so that nothing else of this process comes in between either.
    for (const { draft, path } of drafts) renameSync(draft, path);
  } catch (error) {
    for (const { draft } of drafts) await rm(draft, { force: true });
    throw error;
  }
}

/** Writes a file that isn't there yet, down to the disk. */
export async function writeNewFile(path: string, text: string, mode = OWNER_ONLY): Promise<void> {
  const handle = await open(path, "wx", mode);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A name beside the path that nobody else has. */
export function draftOf(path: string): string {
  return `${path}.${randomBytes(4).toString("hex")}`;
}

/**
 * Makes a folder, if it isn't there, and those above it, which get the usual mode. Step by step: on a file system
 * that takes no folders, such as /proc, Node's recursive mkdir never ends.
 */
export async function makeFolder(folder: string, mode?: number): Promise<void> {
  if (await isFolder(folder)) return;
  if (!(await isFolder(dirname(folder)))) await makeFolder(dirname(folder));
  try {
    await mkdir(folder, mode);
  } catch (error) {
    // Another process was faster.
    if (!(await isFolder(folder))) throw error;
  }
}

/** Whether an error of the file system says that something isn't there. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}
