import { randomBytes } from "node:crypto";
import {
  chown,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import type { Binaries } from "./binaries.ts";
import { draftPrefix } from "./data-location.ts";
import { EmbeddedServerError } from "./embedded-server-error.ts";
import { isMissing } from "./file-error.ts";
import { guardGroup } from "./guard.ts";
import { runCommand } from "./run-command.ts";
import type { ServerUser } from "./server-user.ts";

/** The superuser of every embedded server. */
export const superuserName = "postgres";

/** What PostgreSQL calls a cluster: its files, and the way in. */
export interface Cluster {
  /** Without symbolic links. */
  readonly folder: string;
  readonly superuserPassword: string;
}

/** How to open a cluster. */
export interface ClusterOptions {
  readonly dataFolder: string;
  readonly binaries: Binaries;
  readonly user: ServerUser | undefined;
  /** Whether the files must survive a crash of the machine. */
  readonly durable: boolean;
  readonly onProgress: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Gives the cluster in a data folder, made where there is none. It is made under another name and
 * renamed when complete, so that what has the name `cluster` was complete once. What is there under
 * that name and can't be one is moved aside, never deleted. The caller holds the folder's lock.
 *
 * @throws EmbeddedServerError OTHER_MAJOR_VERSION, DATA_FOLDER_UNUSABLE, INITIALISATION_FAILED, ABORTED
 */
export async function openCluster(options: ClusterOptions): Promise<Cluster> {
  const { dataFolder, binaries, onProgress } = options;
  const folder = join(dataFolder, "cluster");
  await removeDrafts(options);
  const version = await versionOf(folder);
  if (version === undefined) {
    await moveAside(folder, onProgress);
    const superuserPassword = await makeCluster(options, folder);
    return { folder: await realpath(folder), superuserPassword };
  }
  const major = binaries.version.split(".")[0];
  if (version !== major) {
    throw new EmbeddedServerError(
      "OTHER_MAJOR_VERSION",
      `${folder} was made by PostgreSQL ${version}, which PostgreSQL ${binaries.version} can't read. ` +
        `Move it away, or choose another data folder.`,
    );
  }
  const superuserPassword = await readPassword(dataFolder);
  if (superuserPassword === undefined) {
    throw new EmbeddedServerError(
      "DATA_FOLDER_UNUSABLE",
      `${passwordFile(dataFolder)} is missing, and without it there is no way into the data beside it. ` +
        `Put it back, or choose another data folder.`,
    );
  }
  return { folder: await realpath(folder), superuserPassword };
}

// A kill left these: they never had a server, and can hold nothing that anybody was told is safe.
async function removeDrafts({ dataFolder, onProgress }: ClusterOptions): Promise<void> {
  const drafts = (await readdir(dataFolder)).filter((name) => name.startsWith(draftPrefix));
  if (drafts.length > 0) onProgress("removing what an interrupted initialisation left");
  for (const draft of drafts) {
    await rm(join(dataFolder, draft), { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

// initdb writes PG_VERSION first; pg_control is what no server starts without.
async function versionOf(folder: string): Promise<string | undefined> {
  try {
    await stat(join(folder, "global", "pg_control"));
    const version = (await readFile(join(folder, "PG_VERSION"), "utf8")).trim();
    return version === "" ? undefined : version;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function moveAside(folder: string, onProgress: (line: string) => void): Promise<void> {
  const aside = `${folder}.incomplete-${new Date().toISOString().replaceAll(":", "")}`;
  try {
    await rename(folder, aside);
    onProgress(`${folder} is no complete database: moved to ${aside}`);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

async function makeCluster(options: ClusterOptions, folder: string): Promise<string> {
  const { dataFolder, user, durable, onProgress, signal } = options;
  onProgress("initialising a new database cluster");
  const password = (await readPassword(dataFolder)) ?? (await makePassword(dataFolder));
  const draft = join(dataFolder, `${draftPrefix}${randomBytes(6).toString("hex")}`);
  const passwordCopy = join(draft, "password");
  await mkdir(draft, { mode: 0o700 });
  await writeFile(passwordCopy, `${password}\n`, { mode: 0o600 });
  if (user !== undefined) {
    await chown(passwordCopy, user.uid, user.gid);
    await chown(draft, user.uid, user.gid);
  }
  await initialise(options, { passwordFile: passwordCopy, folder: join(draft, "cluster") });
  if (signal?.aborted === true) throw aborted();
  await rename(join(draft, "cluster"), folder);
  if (durable) await syncFolder(dataFolder);
  await rm(draft, { recursive: true, force: true });
  return password;
}

async function initialise(
  options: ClusterOptions,
  target: { readonly folder: string; readonly passwordFile: string },
): Promise<void> {
  const { binaries, user, durable, signal } = options;
  const result = await runCommand({
    file: binaries.initdb,
    args: [
      `--pgdata=${target.folder}`,
      `--pwfile=${target.passwordFile}`,
      `--username=${superuserName}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--locale-provider=builtin",
      "--builtin-locale=C.UTF-8",
      "--locale=C",
      "--set=timezone=UTC",
      "--set=log_timezone=UTC",
      "--no-instructions",
      ...(durable ? [] : ["--no-sync"]),
    ],
    ...(user && { user }),
    ...(signal && { signal }),
    onSpawn: (pid) => guardGroup(pid, { graceMs: 0 }),
  });
  if (signal?.aborted === true) throw aborted();
  if (result.code === 0) return;
  const reason = result.stderr.trim().split("\n").slice(-5).join("\n");
  throw new EmbeddedServerError("INITIALISATION_FAILED", `The database could not be initialised:\n${reason}`);
}

/** What is thrown where the caller no longer wants a server. */
export function aborted(): EmbeddedServerError {
  return new EmbeddedServerError("ABORTED", "The start of PostgreSQL was called off.");
}

function passwordFile(dataFolder: string): string {
  return join(dataFolder, "superuser-password");
}

async function readPassword(dataFolder: string): Promise<string | undefined> {
  try {
    const password = (await readFile(passwordFile(dataFolder), "utf8")).trim();
    return password === "" ? undefined : password;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function makePassword(dataFolder: string): Promise<string> {
  const password = randomBytes(24).toString("base64url");
  const draft = `${passwordFile(dataFolder)}.${randomBytes(4).toString("hex")}`;
  const file = await open(draft, "wx", 0o600);
  try {
    await file.writeFile(`${password}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, passwordFile(dataFolder));
  return password;
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
