import { readFile } from "node:fs/promises";
import { runCommand } from "./run-command.ts";

/**
 * Names a running process in a way that a later process with the same pid does not share: the boot of
 * the machine and the moment at which the process started.
 *
 * @returns undefined where no such process runs; one that has ended and only waits to be reaped counts
 *   as not running.
 */
export async function processIdentity(pid: number): Promise<string | undefined> {
  return process.platform === "linux" ? identityFromProc(pid) : identityFromPs(pid);
}

/** Whether a process with this pid runs, whoever owns it. */
export async function isAlive(pid: number): Promise<boolean> {
  return (await processIdentity(pid)) !== undefined;
}

async function identityFromProc(pid: number): Promise<string | undefined> {
  const stat = await readOrUndefined(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The second field is the command in brackets and may hold anything, brackets and blanks included.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state] = fields;
  const startTime = fields[19];
  if (state === "Z" || state === "X" || startTime === undefined) return undefined;
  const boot = (await readOrUndefined("/proc/sys/kernel/random/boot_id")) ?? "";
  return `${boot.trim()}:${startTime}`;
}

async function identityFromPs(pid: number): Promise<string | undefined> {
  const { code, stdout } = await runCommand({ file: "ps", args: ["-o", "stat=,lstart=", "-p", String(pid)] });
  const [state, ...start] = stdout.trim().split(/\s+/);
  if (code !== 0 || state === undefined || state.startsWith("Z")) return undefined;
  return start.join("_");
}

async function readOrUndefined(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch {
    // The process is gone, or went while its file was read: both mean that there is nothing to name.
    return undefined;
  }
}
