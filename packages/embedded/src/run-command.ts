import { spawn } from "node:child_process";
import { killIfThere } from "./kill-if-there.ts";

/** A command to run to its end. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  /** Who it runs as; the caller's own user where absent. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** Kills the command and everything that it started. */
  readonly signal?: AbortSignal;
  /** Told the pid of the new process, which leads a process group of its own; what it returns is called at the end. */
  readonly onSpawn?: (pid: number) => () => void;
}

/** How a command ended. `code` is null where a signal ended it or it could not be started at all. */
export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a command in the root folder with a minimal environment (what the caller has in its own, such
 * as PGDATA or a locale, must not decide what a server does). Never throws: a command that can't be
 * started has the code null and the reason in stderr.
 */
export async function runCommand(command: Command): Promise<CommandResult> {
  const child = spawn(command.file, command.args, {
    cwd: "/",
    env: serverEnvironment,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    ...command.user,
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  const { pid } = child;
  const atEnd = pid === undefined ? undefined : command.onSpawn?.(pid);
  const kill = (): void => {
    if (pid !== undefined) killIfThere(-pid);
  };
  command.signal?.addEventListener("abort", kill, { once: true });
  if (command.signal?.aborted === true) kill();
  return new Promise((resolve) => {
    const finish = (code: number | null, reason = ""): void => {
      command.signal?.removeEventListener("abort", kill);
      atEnd?.();
      resolve({
        code,
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString() + reason,
      });
    };
    child.on("error", (error) => finish(null, error.message));
    child.on("close", (code) => finish(code));
  });
}

/** The whole environment of every process of the server. */
export const serverEnvironment: Readonly<Record<string, string>> = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LC_ALL: "C",
  TZ: "UTC",
};
