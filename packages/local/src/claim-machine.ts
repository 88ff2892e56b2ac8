import { chmod, mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type FolderLock, FolderLockedError, isPortFree, lockFolder } from "@tandem/embedded";
import { type LocalConfig, type PortName, portVariables, shortPath } from "./config.ts";
import { LocalError } from "./local-error.ts";

// What a killed start left is stopped by its guards within this time.
const leftoverTimeoutMs = 5_000;

/**
 * Makes sure that this start has its data folder for itself and that its ports are free, before anything
 * is started.
 *
 * @throws LocalError with a sentence that says what to do
 */
export async function claimMachine(config: LocalConfig): Promise<FolderLock> {
  const lock = await claimDataFolder(config.dataFolder);
  try {
    const deadline = performance.now() + (lock.predecessorDied ? leftoverTimeoutMs : 0);
    for (const [name, variable] of Object.entries(portVariables)) {
      await requireFree({ port: config.ports[name as PortName], variable, deadline });
    }
    return lock;
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function claimDataFolder(folder: string): Promise<FolderLock> {
  try {
    // PostgreSQL may have to run as another user, who must get through to its folder in this one.
    if (await makeFolder(folder)) await chmod(folder, 0o711);
    return await lockFolder(folder);
  } catch (error) {
    if (error instanceof FolderLockedError) {
      throw new LocalError(
        `Tandem already runs on ${shortPath(folder)} (process ${error.pid}). ` +
          `Stop it first, or set TANDEM_DATA to another folder (and the TANDEM_…_PORT variables to other ports).`,
        { cause: error },
      );
    }
    const reason = error instanceof Error ? error.message : String(error);
    throw new LocalError(`${folder} can't hold the data (${reason}). Set TANDEM_DATA to another folder.`, {
      cause: error,
    });
  }
}

// Step by step: on a file system that takes no folders, such as /proc, Node's recursive mkdir never ends.
async function makeFolder(folder: string): Promise<boolean> {
  if ((await stat(folder).catch(() => undefined))?.isDirectory() === true) return false;
  const parent = dirname(folder);
  if ((await stat(parent).catch(() => undefined)) === undefined) await makeFolder(parent);
  await mkdir(folder);
  return true;
}

async function requireFree(options: {
  readonly port: number;
  readonly variable: string;
  readonly deadline: number;
}): Promise<void> {
  const { port, variable, deadline } = options;
  for (;;) {
    if (await canListen(port, variable)) return;
    if (performance.now() >= deadline) break;
    await delay(50);
  }
  throw new LocalError(
    `Port ${port} of 127.0.0.1 is taken by another program. Stop that program, or set ${variable} to another port.`,
  );
}

async function canListen(port: number, variable: string): Promise<boolean> {
  try {
    return await isPortFree(port);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new LocalError(`Port ${port} can't be used (${reason}). Set ${variable} to another port.`, {
      cause: error,
    });
  }
}
