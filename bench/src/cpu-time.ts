import { readdirSync, readFileSync } from "node:fs";

// What a tick is on every Linux that Node runs on.
const TICK_MS = 10;

interface ProcessTimes {
  readonly parent: number;
  readonly ownMs: number;
  /** Of children that have ended and were waited for, and of theirs. */
  readonly childrenMs: number;
}

/**
 * The processor time that a server and all its processes have used so far, those that have ended among them.
 * Undefined where the system has no /proc.
 */
export function treeCpuMs(pid: number): number | undefined {
  if (process.platform !== "linux") return undefined;
  const root = readTimes(pid);
  if (root === undefined) return undefined;
  const pids = readdirSync("/proc").map(Number).filter(Number.isInteger);
  const children = pids.flatMap((each) => {
    const times = readTimes(each);
    return times?.parent === pid ? [times.ownMs + times.childrenMs] : [];
  });
  return children.reduce((sum, ms) => sum + ms, root.ownMs + root.childrenMs);
}

/** The processor time of this process's children that have ended. Undefined where the system has no /proc. */
export function childrenCpuMs(): number | undefined {
  return process.platform === "linux" ? readTimes(process.pid)?.childrenMs : undefined;
}

/** Resident memory. Undefined where the process is no more, or the system has no /proc. */
export function residentBytes(pid: number): number | undefined {
  const kilobytes = /^VmRSS:\s*(\d+) kB$/m.exec(readFile(`/proc/${pid}/status`) ?? "")?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1_024;
}

function readTimes(pid: number): ProcessTimes | undefined {
  const text = readFile(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // Behind the command, which may hold anything. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const ms = (field: number): number => Number(fields[field - 3]) * TICK_MS;
  return { parent: Number(fields[1]), ownMs: ms(14) + ms(15), childrenMs: ms(16) + ms(17) };
}

// A process may end at any time.
function readFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
