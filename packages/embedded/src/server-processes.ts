import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { isMissing } from "./file-error.ts";
import { processIdentity } from "./process-identity.ts";
import { runCommand } from "./run-command.ts";

/** Processes of a server that work on a cluster. */
export interface ServerProcesses {
  /** The one that the others belong to. Without it, the others are about to end. */
  readonly postmaster: number | undefined;
  readonly all: readonly number[];
}

/**
 * Finds the server that works on a cluster, whoever started it. Every process of PostgreSQL works in
 * its cluster's folder, and nothing else has a reason to: where the system shows that, a pid that has
 * become another program's is not mistaken for a server.
 *
 * @param clusterFolder without symbolic links
 */
export async function findServerProcesses(clusterFolder: string): Promise<ServerProcesses> {
  const recorded = await recordedPostmaster(clusterFolder);
  const all = process.platform === "linux" ? await workingIn(clusterFolder) : await likely(recorded);
  return { postmaster: recorded !== undefined && all.includes(recorded) ? recorded : undefined, all };
}

/** The pid in the cluster's postmaster.pid, whether or not it is still true. */
export async function recordedPostmaster(clusterFolder: string): Promise<number | undefined> {
  try {
    const pid = Number.parseInt(await readFile(join(clusterFolder, "postmaster.pid"), "utf8"), 10);
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function workingIn(clusterFolder: string): Promise<number[]> {
  const pids = (await readdir("/proc")).map(Number).filter((pid) => Number.isInteger(pid));
  const verdicts = await Promise.all(pids.map((pid) => worksIn(pid, clusterFolder)));
  return pids.filter((_pid, index) => verdicts[index]);
}

async function worksIn(pid: number, clusterFolder: string): Promise<boolean> {
  try {
    if ((await readlink(`/proc/${pid}/cwd`)) !== clusterFolder) return false;
    // A person's shell may be in this folder too.
    if ((await readFile(`/proc/${pid}/comm`, "utf8")).trim() !== "postgres") return false;
  } catch {
    // It has ended, or is another user's and can't be looked into: no server of ours.
    return false;
  }
  return (await processIdentity(pid)) !== undefined;
}

async function likely(pid: number | undefined): Promise<number[]> {
  if (pid === undefined) return [];
  const { stdout } = await runCommand({ file: "ps", args: ["-o", "comm=", "-p", String(pid)] });
  return stdout.includes("postgres") ? [pid] : [];
}
