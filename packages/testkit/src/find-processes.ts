import { execFile } from "node:child_process";
import { readdir, readFile, readlink } from "node:fs/promises";
import { promisify } from "node:util";

/** A running process. */
export interface FoundProcess {
  readonly pid: number;
  readonly command: string;
}

/**
 * Finds the processes that have something to do with a path (or any other unique text): it is in their
 * command, their environment or the folder they work in. Descendants are found so even when their
 * parents have died. Not found: this process, and those that have ended but were not reaped.
 */
export async function findProcesses(text: string): Promise<FoundProcess[]> {
  return process.platform === "linux" ? findInProc(text) : findWithPs(text);
}

async function findInProc(text: string): Promise<FoundProcess[]> {
  const pids = (await readdir("/proc"))
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const [command, environment, folder] = await Promise.all([
        readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""),
        readFile(`/proc/${pid}/environ`, "utf8").catch(() => ""),
        readlink(`/proc/${pid}/cwd`).catch(() => ""),
      ]);
      const concerned = [command, environment, folder].some((place) => place.includes(text));
      return concerned ? [{ pid, command: command.replaceAll("\0", " ").trim() }] : [];
    }),
  );
  return found.flat();
}

async function findWithPs(text: string): Promise<FoundProcess[]> {
  const { stdout } = await promisify(execFile)("ps", ["-axww", "-E", "-o", "pid=,command="]);
  return stdout
    .split("\n")
    .filter((line) => line.includes(text))
    .map((line) => ({ pid: Number.parseInt(line, 10), command: line.trim().replace(/^\d+\s+/, "") }))
    .filter(({ pid }) => pid !== process.pid);
}
