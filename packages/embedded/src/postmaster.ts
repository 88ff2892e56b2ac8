import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Binaries } from "./binaries.ts";
import { aborted } from "./cluster.ts";
import { EmbeddedServerError } from "./embedded-server-error.ts";
import { isMissing } from "./file-error.ts";
import { serverEnvironment } from "./run-command.ts";
import type { ServerUser } from "./server-user.ts";

const pollMs = 10;

/** How a server ended: with an exit code, or by a signal. */
export interface ServerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A server process that was started, ready or not. */
export interface Postmaster {
  readonly pid: number;
  readonly exited: Promise<ServerExit>;
  /** Sends a signal; without effect once it has ended. */
  signal(signal: NodeJS.Signals): void;
}

/**
 * Starts a server in a session of its own, so that a Ctrl-C in a terminal reaches those first who
 * still have work for it. Its log goes to a file that starts empty.
 *
 * @throws EmbeddedServerError START_FAILED where the program can't be started
 */
export async function spawnPostmaster(options: {
  readonly binaries: Binaries;
  readonly clusterFolder: string;
  readonly logFile: string;
  readonly user: ServerUser | undefined;
  readonly settings: Readonly<Record<string, string>>;
}): Promise<Postmaster> {
  const { binaries, clusterFolder, logFile, user, settings } = options;
  const settingArguments = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  // Made anew: it may be another user's, from a start as root. The last one tells why the last run ended.
  await rename(logFile, `${logFile}.previous`).catch(() => undefined);
  const log = await open(logFile, "ax", 0o600);
  try {
    const child = spawn(binaries.postgres, ["-D", clusterFolder, ...settingArguments], {
      cwd: "/",
      env: serverEnvironment,
      stdio: ["ignore", log.fd, log.fd],
      detached: true,
      ...(user && { uid: user.uid, gid: user.gid }),
    });
    return await started(child);
  } finally {
    await log.close();
  }
}

async function started(child: ChildProcess): Promise<Postmaster> {
  const exited = new Promise<ServerExit>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  try {
    await once(child, "spawn");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new EmbeddedServerError("START_FAILED", `PostgreSQL could not be started (${reason}).`, {
      cause: error,
    });
  }
  const { pid } = child;
  if (pid === undefined) throw new Error("A process that was spawned has no pid.");
  return { pid, exited, signal: (signal) => void child.kill(signal) };
}

/**
 * Waits until the server accepts connections, which it notes in its postmaster.pid.
 *
 * @throws EmbeddedServerError START_FAILED with the last lines of its log where it ends first or takes
 *   longer than allowed; ABORTED
 */
export async function waitUntilReady(options: {
  readonly postmaster: Postmaster;
  readonly clusterFolder: string;
  readonly logFile: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}): Promise<void> {
  const { postmaster, clusterFolder, logFile, timeoutMs, signal } = options;
  const deadline = performance.now() + timeoutMs;
  let exit: ServerExit | undefined;
  void postmaster.exited.then((found) => (exit = found));
  while (!(await saysReady(clusterFolder, postmaster.pid))) {
    if (signal?.aborted === true) throw aborted();
    if (exit !== undefined) {
      const how = exit.signal === null ? `exit code ${exit.code}` : `signal ${exit.signal}`;
      throw await failed(`PostgreSQL ended while it was starting (${how})`, logFile);
    }
    if (performance.now() > deadline) {
      throw await failed(`PostgreSQL was not ready within ${timeoutMs / 1000} s`, logFile);
    }
    await delay(pollMs);
  }
}

// pg_ctl waits for the same: line 1 is the pid, line 8 the status.
async function saysReady(clusterFolder: string, pid: number): Promise<boolean> {
  const lines = (await readIfThere(join(clusterFolder, "postmaster.pid"))).split("\n");
  return Number(lines[0]) === pid && lines[7]?.trim() === "ready";
}

async function failed(sentence: string, logFile: string): Promise<EmbeddedServerError> {
  const lines = (await readIfThere(logFile)).trim().split("\n").slice(-8);
  const text = `${sentence}. The end of its log, ${logFile}:\n${lines.map((line) => `  ${line}`).join("\n")}`;
  return new EmbeddedServerError("START_FAILED", text);
}

async function readIfThere(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (isMissing(error)) return "";
    throw error;
  }
}
