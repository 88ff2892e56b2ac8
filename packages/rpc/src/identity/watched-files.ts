import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";

/** A file that says who may call, who this process is, or what it keeps secret, can't be used. The message says which and why. */
export class CredentialsFileError extends Error {
  override readonly name = "CredentialsFileError";
}

export interface WatchOptions<T> {
  readonly files: readonly string[];
  /** What the files' contents, in their order, mean. It throws where they can't be used. */
  readonly parse: (contents: readonly Buffer[]) => T;
  readonly pollMs: number;
  /** What counts while the files can't be used; the last contents that could be where it isn't said. */
  readonly meanwhile?: T;
  /** Told of what can't be used, once for each content. */
  readonly onProblem: (problem: CredentialsFileError) => void;
}

/** What some files say by now. Whoever made it closes it. */
export interface WatchedFiles<T> {
  readonly current: T;
  /** Calls the listener after each change of what they say. The function that it gives ends that. */
  onChange(listener: (current: T) => void): () => void;
  close(): void;
}

/**
 * Reads files now, and again and again while the process runs: a notification is not reliable for a mounted
 * secret, whose folder is a link that is swapped. Fails with a CredentialsFileError where they can't be used now.
 */
export function watchFiles<T>(options: WatchOptions<T>): WatchedFiles<T> {
  const { files, pollMs, onProblem } = options;
  const listeners = new Set<(current: T) => void>();
  let seen: readonly Buffer[] | string = files.map((file) => reading(file, () => readFileSync(file)));
  let current = understand(options, seen);
  let closed = false;
  let timer: NodeJS.Timeout | undefined;

  const become = (next: T): void => {
    if (next === current) return;
    current = next;
    for (const listener of listeners) listener(current);
  };
  const look = async (): Promise<void> => {
    const contents = await readAll(files);
    if (closed || isSame(contents, seen)) return;
    seen = contents;
    try {
      if (typeof contents === "string") throw new CredentialsFileError(contents);
      become(understand(options, contents));
    } catch (error) {
      if (!(error instanceof CredentialsFileError)) throw error;
      onProblem(error);
      if (options.meanwhile !== undefined) become(options.meanwhile);
    }
  };
  const again = (): void => {
    if (closed) return;
    timer = setTimeout(() => void look().finally(again), pollMs).unref();
  };
  again();
  return {
    get current() {
      return current;
    },
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    close() {
      closed = true;
      clearTimeout(timer);
      listeners.clear();
    },
  };
}

function understand<T>({ files, parse }: WatchOptions<T>, contents: readonly Buffer[]): T {
  try {
    return parse(contents);
  } catch (cause) {
    throw new CredentialsFileError(`${files.join(", ")} can't be used: ${messageOf(cause)}.`, { cause });
  }
}

function reading<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new CredentialsFileError(`${file} can't be read: ${messageOf(cause)}.`, { cause });
  }
}

async function readAll(files: readonly string[]): Promise<readonly Buffer[] | string> {
  try {
    return await Promise.all(files.map((file) => readFile(file)));
  } catch (error) {
    return `${files.join(", ")} can't be read: ${messageOf(error)}.`;
  }
}

function isSame(contents: readonly Buffer[] | string, seen: readonly Buffer[] | string): boolean {
  if (typeof contents === "string" || typeof seen === "string") return contents === seen;
  return contents.every((bytes, index) => seen[index]?.equals(bytes) === true);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
