import { realpath, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Binaries, packagedFolder, provideBinaries } from "./binaries.ts";
import { aborted, type Cluster, openCluster, superuserName } from "./cluster.ts";
import { type DataLocation, prepareDataFolder } from "./data-location.ts";
import { EmbeddedServerError } from "./embedded-server-error.ts";
import { guardServer } from "./guard.ts";
import { type FolderLock, FolderLockedError, lockFolder } from "./folder-lock.ts";
import { findFreePort, isPortFree } from "./port.ts";
import { type Postmaster, type ServerExit, spawnPostmaster, waitUntilReady } from "./postmaster.ts";
import { killIfThere } from "./kill-if-there.ts";
import { findServerProcesses, recordedPostmaster } from "./server-processes.ts";

const host = "127.0.0.1";
// Longer than a guard gives a server whose starter has died.
const leftoverTimeoutMs = 5_000;
// A free port is free when it is looked for, and may be another's when it is used.
const freePortAttempts = 5;

/** What to start. */
export interface StartOptions {
  /** Holds the cluster, its superuser's password and the server's log; made where it is missing. */
  readonly dataFolder: string;
  /** 0 or absent: a free one. */
  readonly port?: number;
  /** PostgreSQL's settings by name, such as `max_connections`. What is safe for data is never reduced unasked. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Told in plain words what takes time or differs from the usual. */
  readonly onProgress?: (line: string) => void;
  /** Calls the start off; a server that is up is not affected. */
  readonly signal?: AbortSignal;
  /** How long the server may take to accept connections, recovery from a crash included. */
  readonly readyTimeoutMs?: number;
}

/** How patiently to stop. */
export interface StopOptions {
  /** How long open transactions are given to be rolled back and data to be written, before it gets rough. */
  readonly fastMs?: number;
}

/** A running server. Whoever started it stops it; if they die first, it stops by itself. */
export interface EmbeddedServer {
  readonly host: "127.0.0.1";
  readonly port: number;
  /** The connection string of the superuser, with the password, to the database `postgres`. */
  readonly adminUrl: string;
  readonly pid: number;
  /** For example "18.4". */
  readonly version: string;
  /** Where the data really are, without symbolic links. */
  readonly dataFolder: string;
  readonly logFile: string;
  /** Resolves when it has ended, for whatever reason. */
  readonly exited: Promise<ServerExit>;
  /** Stops it in order (after a bound, without). Resolves when no process is left; may be repeated. */
  stop(options?: StopOptions): Promise<void>;
  /** Kills it as a crash would. Resolves when no process is left; for tests of what happens then. */
  kill(): Promise<void>;
}

/**
 * Starts PostgreSQL on 127.0.0.1 with its data in a folder, initialising the folder where that hasn't
 * been done, and resolves when it accepts connections. What a kill or a crash left is recovered.
 *
 * @throws EmbeddedServerError with a sentence for a person, and with nothing left running
 */
export async function startEmbeddedServer(options: StartOptions): Promise<EmbeddedServer> {
  const onProgress = options.onProgress ?? ((): void => undefined);
  if (process.platform === "win32") {
    throw new EmbeddedServerError("NO_BINARIES", "An embedded PostgreSQL is not supported on Windows.");
  }
  const location = await prepareDataFolder({ wanted: options.dataFolder, onProgress });
  const lock = await claimFolder(location.folder);
  try {
    const folder = location.folder;
    const binaries = await provideBinaries({ folder: packagedFolder(), user: location.user, onProgress });
    await settleLeftovers({ folder, onProgress });
    const cluster = await openCluster({
      dataFolder: folder,
      binaries,
      user: location.user,
      durable: options.settings?.["fsync"] !== "off",
      onProgress,
      signal: options.signal,
    });
    if (options.signal?.aborted === true) throw aborted();
    return await startOnPort({ options, location, lock, binaries, cluster });
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function claimFolder(folder: string): Promise<FolderLock> {
  try {
    return await lockFolder(folder);
  } catch (error) {
    if (!(error instanceof FolderLockedError)) throw error;
    const server = await recordedPostmaster(join(folder, "cluster"));
    const detail = server === undefined ? "" : ` (the server itself is process ${server})`;
    throw new EmbeddedServerError(
      "ALREADY_RUNNING",
      `Process ${error.pid} already runs PostgreSQL on ${folder}${detail}. Stop it first, or choose another data folder.`,
      { cause: error },
    );
  }
}

// We hold the lock, so whoever started a server that is still there has died: its guard is stopping it.
async function settleLeftovers(options: {
  readonly folder: string;
  readonly onProgress: (line: string) => void;
}): Promise<void> {
  const clusterFolder = join(options.folder, "cluster");
  const realFolder = await realpath(clusterFolder).catch(() => clusterFolder);
  const deadline = performance.now() + leftoverTimeoutMs;
  let found = await findServerProcesses(realFolder);
  if (found.all.length > 0) options.onProgress("waiting for the server of an earlier start to end");
  while (found.all.length > 0 && performance.now() < deadline) {
    await delay(50);
    found = await findServerProcesses(realFolder);
  }
  if (found.all.length > 0) {
    const pid = found.postmaster ?? found.all[0];
    throw new EmbeddedServerError(
      "ALREADY_RUNNING",
      `PostgreSQL (process ${pid}) already runs on ${options.folder}. Stop it first (kill -INT ${pid}).`,
    );
  }
  // PostgreSQL would refuse to start where the pid in this file is another program's by now.
  await rm(join(clusterFolder, "postmaster.pid"), { force: true });
}

interface Start {
  readonly options: StartOptions;
  readonly location: DataLocation;
  readonly lock: FolderLock;
  readonly binaries: Binaries;
  readonly cluster: Cluster;
}

async function startOnPort(start: Start): Promise<EmbeddedServer> {
  const wanted = start.options.port ?? 0;
  for (let attempt = 1; ; attempt++) {
    const port = wanted === 0 ? await findFreePort() : wanted;
    if (!(await isPortFree(port))) throw portTaken(port);
    try {
      return await startServer(start, port);
    } catch (error) {
      const unlucky = error instanceof EmbeddedServerError && error.reason === "START_FAILED";
      if (!unlucky || (await isPortFree(port))) throw error;
      if (wanted !== 0 || attempt === freePortAttempts) throw portTaken(port);
    }
  }
}

function portTaken(port: number): EmbeddedServerError {
  return new EmbeddedServerError(
    "PORT_TAKEN",
    `Port ${port} of 127.0.0.1 is taken by another program. Stop that program, or set another port for PostgreSQL.`,
  );
}

async function startServer(
  { options, location, lock, binaries, cluster }: Start,
  port: number,
): Promise<EmbeddedServer> {
  const clusterFolder = cluster.folder;
  const logFile = join(location.folder, "server.log");
  const standDown = guardServer(clusterFolder);
  let postmaster: Postmaster;
  try {
    postmaster = await spawnPostmaster({
      binaries,
      clusterFolder,
      logFile,
      user: location.user,
      settings: {
        ...options.settings,
        listen_addresses: host,
        port: String(port),
        unix_socket_directories: "",
        lc_messages: "C",
      },
    });
  } catch (error) {
    standDown();
    throw error;
  }
  const ended = postmaster.exited.finally(standDown);
  try {
    const timeoutMs = options.readyTimeoutMs ?? 60_000;
    await waitUntilReady({ postmaster, clusterFolder, logFile, timeoutMs, signal: options.signal });
  } catch (error) {
    await shutDown(postmaster, clusterFolder, 1_000);
    throw error;
  }
  const exited = releaseAfter(ended, lock);
  return {
    host,
    port,
    adminUrl: `postgres://${superuserName}:${cluster.superuserPassword}@${host}:${port}/postgres`,
    pid: postmaster.pid,
    version: binaries.version,
    dataFolder: location.folder,
    logFile,
    exited,
    stop: async (stopOptions) => {
      await shutDown(postmaster, clusterFolder, stopOptions?.fastMs ?? 3_000);
      await exited;
    },
    kill: async () => {
      postmaster.signal("SIGKILL");
      await exited;
      await nobodyLeft(clusterFolder);
    },
  };
}

async function releaseAfter(ended: Promise<ServerExit>, lock: FolderLock): Promise<ServerExit> {
  const exit = await ended;
  await lock.release();
  return exit;
}

async function shutDown(postmaster: Postmaster, clusterFolder: string, fastMs: number): Promise<void> {
  for (const [signal, patienceMs] of [
    ["SIGINT", fastMs],
    ["SIGQUIT", 1_000],
    ["SIGKILL", 1_000],
  ] as const) {
    postmaster.signal(signal);
    if (await endsWithin(postmaster, patienceMs)) break;
  }
  await nobodyLeft(clusterFolder);
}

async function endsWithin(postmaster: Postmaster, timeoutMs: number): Promise<boolean> {
  const cancel = new AbortController();
  const late = delay(timeoutMs, false, { signal: cancel.signal }).catch(() => false);
  try {
    return await Promise.race([postmaster.exited.then(() => true), late]);
  } finally {
    cancel.abort();
  }
}

// A postmaster that was killed can't wait for its processes; they notice and end by themselves.
async function nobodyLeft(clusterFolder: string): Promise<void> {
  const deadline = performance.now() + 2_000;
  while (performance.now() < deadline) {
    const { all } = await findServerProcesses(clusterFolder);
    if (all.length === 0) return;
    await delay(20);
  }
  for (const pid of (await findServerProcesses(clusterFolder)).all) killIfThere(pid);
}
