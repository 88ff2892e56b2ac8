import { createHash } from "node:crypto";
import { chmod, lstat, mkdir, readdir, readlink, realpath, rm, rmdir, stat, symlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { EmbeddedServerError } from "./embedded-server-error.ts";
import { isForbidden, isMissing } from "./file-error.ts";
import { accountForRoot, canPass, isRoot, type ServerUser } from "./server-user.ts";
import { isRootsOwn, sharedFolders } from "./shared-folder.ts";

/** Prefix of the folders in which a cluster is made before it gets its name. */
export const draftPrefix = "initialising-";

/** A folder for the server's data that exists, and who the server runs as in it. */
export interface DataLocation {
  /** Without symbolic links. */
  readonly folder: string;
  /** The caller's own user where absent. */
  readonly user: ServerUser | undefined;
}

/**
 * Makes the wanted folder exist in a place that the server's user can reach. For root, where it can't
 * be reached, the data go to a shared place and the wanted path becomes a symbolic link to it.
 *
 * @throws EmbeddedServerError NO_OS_USER, DATA_FOLDER_UNUSABLE
 */
export async function prepareDataFolder(options: {
  readonly wanted: string;
  readonly places?: readonly string[];
  readonly onProgress: (line: string) => void;
}): Promise<DataLocation> {
  const wanted = resolve(options.wanted);
  try {
    await makeFolder(wanted);
    const folder = await realpath(wanted);
    if (!isRoot()) {
      await requireOwnCluster(folder);
      return { folder, user: undefined };
    }
    const user = (await clusterOwner(folder)) ?? (await accountForRoot(options.onProgress));
    if (await canPass(user, folder)) return { folder, user };
    return { folder: await relocate({ ...options, wanted, folder, user }), user };
  } catch (error) {
    if (!isForbidden(error)) throw error;
    throw unusable(`The data folder ${wanted} can't be used`, error);
  }
}

// The folder itself can be passed through, so that the server's user gets to its cluster in it; only
// its owner can list it.
async function makeFolder(wanted: string): Promise<void> {
  if ((await kindOf(wanted)) === "link" && (await stat(wanted).catch(() => undefined)) === undefined) {
    await mkdir(resolve(dirname(wanted), await readlink(wanted)), { recursive: true, mode: 0o711 });
  }
  const firstMade = await mkdir(wanted, { recursive: true });
  if (firstMade !== undefined) await chmod(wanted, 0o711);
}

async function kindOf(path: string): Promise<"link" | "other" | "nothing"> {
  try {
    return (await lstat(path)).isSymbolicLink() ? "link" : "other";
  } catch (error) {
    if (isMissing(error)) return "nothing";
    throw error;
  }
}

// A cluster keeps its owner: data that an ordinary user made are still theirs after a start as root.
async function clusterOwner(folder: string): Promise<ServerUser | undefined> {
  const found = await stat(join(folder, "cluster")).catch(() => undefined);
  if (found === undefined || found.uid === 0) return undefined;
  return { name: `uid ${found.uid}`, uid: found.uid, gid: found.gid };
}

async function requireOwnCluster(folder: string): Promise<void> {
  const found = await stat(join(folder, "cluster")).catch(() => undefined);
  const own = process.getuid?.();
  if (found === undefined || own === undefined || found.uid === own) return;
  throw unusable(
    `The data in ${folder} belong to another user (uid ${found.uid}): run this as that user or as root, ` +
      `or choose another data folder`,
  );
}

async function relocate(options: {
  readonly wanted: string;
  readonly folder: string;
  readonly user: ServerUser;
  readonly places?: readonly string[];
  readonly onProgress: (line: string) => void;
}): Promise<string> {
  const { wanted, folder, user, onProgress } = options;
  const advice = `Make it reachable (chmod o+x on the folders above it) or choose another data folder`;
  await removeLeftovers(folder);
  if ((await kindOf(wanted)) === "link" || (await readdir(folder)).length > 0) {
    throw unusable(`The user "${user.name}", whom PostgreSQL runs as, can't reach ${folder}. ${advice}`);
  }
  for (const place of options.places ?? sharedFolders) {
    const target = join(place, createHash("sha256").update(wanted).digest("hex").slice(0, 16));
    if (!(await couldMake(target)) || !(await canPass(user, target))) continue;
    const before = (await readdir(target)).length > 0 ? ", where those of earlier starts still are" : "";
    onProgress(`the user "${user.name}" can't reach ${wanted}: the data are kept in ${target}${before}`);
    await rmdir(wanted);
    await symlink(target, wanted);
    return target;
  }
  throw unusable(`The user "${user.name}", whom PostgreSQL runs as, can't reach ${folder}. ${advice}`);
}

async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.startsWith(draftPrefix)) await rm(join(folder, name), { recursive: true, force: true });
  }
}

async function couldMake(folder: string): Promise<boolean> {
  try {
    await mkdir(dirname(folder), { recursive: true, mode: 0o755 });
    await mkdir(folder, { recursive: true, mode: 0o711 });
  } catch (error) {
    if (isForbidden(error)) return false;
    throw error;
  }
  if (!(await isRootsOwn(dirname(folder))) || !(await isRootsOwn(folder))) return false;
  await chmod(folder, 0o711);
  return true;
}

function unusable(sentence: string, cause?: unknown): EmbeddedServerError {
  const reason = cause instanceof Error ? ` (${cause.message})` : "";
  return new EmbeddedServerError("DATA_FOLDER_UNUSABLE", `${sentence}${reason}.`, { cause });
}
