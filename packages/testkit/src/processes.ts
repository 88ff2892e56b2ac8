import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { environmentForChildren } from "./config.ts";
import { waitFor } from "./wait-for.ts";

/** What to run. */
export interface SpawnOptions {
  /** The program; this Node where absent. */
  readonly file?: string;
  readonly args: readonly string[];
  /** Added to this process's environment; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Leads a process group of its own, so that a test can signal the group. */
  readonly detached?: boolean;
  readonly uid?: number;
  readonly gid?: number;
}

/** How a process ended. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process that a test runs. */
export interface SpawnedProcess {
  readonly pid: number;
  /** What it has written so far, line by line. */
  lines(stream?: "stdout" | "stderr"): readonly string[];
  /** The first line, already written or to come, that contains a text or matches an expression. */
  waitForLine(wanted: string | RegExp, options?: { readonly timeoutMs?: number }): Promise<string>;
  /** Resolves when it has ended and everything that it wrote was read. */
  waitForExit(options?: { readonly timeoutMs?: number }): Promise<ProcessExit>;
  /** Sends it a signal; without effect when it has ended. */
  kill(signal?: NodeJS.Signals): void;
  /** Ends its standard input. */
  endInput(): void;
}

/** The processes of one suite. */
export interface Processes {
  /** @throws Error where the program can't be started */
  spawn(options: SpawnOptions): Promise<SpawnedProcess>;
  /** Kills what is still running, and resolves when nothing is. Belongs into afterEach() or afterAll(). */
  end(): Promise<void>;
}

/** To be called by a suite that runs processes. */
export function createProcesses(): Processes {
  const all: SpawnedProcess[] = [];
  return {
    spawn: async (options) => {
      const spawned = await start(options);
      all.push(spawned);
      return spawned;
    },
    end: async () => {
      const left = all.splice(0);
      for (const spawned of left) spawned.kill("SIGKILL");
      await Promise.all(left.map((spawned) => spawned.waitForExit()));
    },
  };
}

// A program starts in a second, and in many of them where the processors are wanted by others as well.
const START_TIMEOUT_MS = 30_000;

async function start(options: SpawnOptions): Promise<SpawnedProcess> {
  const child = spawn(options.file ?? process.execPath, options.args, {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...environmentForChildren(), ...options.env },
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    ...(options.detached !== undefined && { detached: options.detached }),
    ...(options.uid !== undefined && { uid: options.uid }),
    ...(options.gid !== undefined && { gid: options.gid }),
  });
  const written: { stream: "stdout" | "stderr"; line: string }[] = [];
  for (const stream of ["stdout", "stderr"] as const) {
    createInterface({ input: child[stream] }).on("line", (line) => written.push({ stream, line }));
  }
  // A process that has ended takes no input, which a test learns from its end.
  child.stdin.on("error", () => undefined);
  let exit: ProcessExit | undefined;
  child.once("close", (code, signal) => {
    exit = { code, signal };
  });
  const pid = await pidOf(child);
  const lines = (stream?: "stdout" | "stderr"): readonly string[] =>
    written.filter((each) => stream === undefined || each.stream === stream).map(({ line }) => line);
  const withOutput = async <T>(waiting: Promise<T>): Promise<T> => {
    try {
      return await waiting;
    } catch (error) {
      throw new Error(
        `${error instanceof Error ? error.message : String(error)}\nIt has written:\n${lines().join("\n")}`,
        { cause: error },
      );
    }
  };
  return {
    pid,
    lines,
    waitForLine: (wanted, { timeoutMs = START_TIMEOUT_MS } = {}) => {
      const matches = (line: string): boolean =>
        typeof wanted === "string" ? line.includes(wanted) : wanted.test(line);
      const describe = `process ${pid} to write a line with ${String(wanted)}`;
      const found = async (): Promise<string> => {
        await waitFor(() => exit !== undefined || lines().some(matches), { timeoutMs, describe });
        const line = lines().find(matches);
        if (line === undefined)
          throw new Error(`Process ${pid} ended without a line with ${String(wanted)}.`);
        return line;
      };
      return withOutput(found());
    },
    waitForExit: ({ timeoutMs = 10_000 } = {}) =>
      withOutput(waitFor(() => exit, { timeoutMs, describe: `process ${pid} to end` })),
    kill: (signal = "SIGTERM") => void child.kill(signal),
    endInput: () => void child.stdin.end(),
  };
}

async function pidOf(child: ChildProcess): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  if (child.pid === undefined) throw new Error("A process that was spawned has no pid.");
  return child.pid;
}
