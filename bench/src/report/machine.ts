import { execFile } from "node:child_process";
import { arch, availableParallelism, cpus, loadavg, platform, release, totalmem } from "node:os";
import { promisify } from "node:util";

/** Where and of what the figures are. */
export interface Machine {
  readonly processor: string;
  readonly processors: number;
  readonly memoryBytes: number;
  readonly system: string;
  readonly node: string;
  readonly postgres: string;
  readonly pgbench: string | undefined;
  /** A short name of the commit, with `-changed` where the files are not as it has them. */
  readonly commit: string;
  readonly startedAt: string;
  /** How many processes wanted to run in the minute before, and in the last one. */
  readonly loadBefore: number;
  readonly loadAfter: number;
}

/** What is known before anything is measured; it is completed afterwards. */
export async function describeMachine(
  pgbench: string | undefined,
): Promise<Omit<Machine, "postgres" | "loadAfter">> {
  return {
    processor: cpus()[0]?.model ?? "unknown",
    processors: availableParallelism(),
    memoryBytes: totalmem(),
    system: `${platform()} ${release()} ${arch()}`,
    node: process.version,
    pgbench: pgbench === undefined ? undefined : await outputOf(pgbench, "--version"),
    commit: await commitOf(),
    startedAt: new Date().toISOString(),
    loadBefore: currentLoad(),
  };
}

export function currentLoad(): number {
  return loadavg()[0] ?? Number.NaN;
}

async function commitOf(): Promise<string> {
  const commit = await outputOf("git", "rev-parse", "--short", "HEAD");
  if (commit === undefined) return "unknown";
  const changes = await outputOf("git", "status", "--porcelain");
  return changes === "" ? commit : `${commit}-changed`;
}

// Neither git nor a checkout is needed to measure.
async function outputOf(program: string, ...args: readonly string[]): Promise<string | undefined> {
  return promisify(execFile)(program, [...args], { cwd: import.meta.dirname, timeout: 10_000 }).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  );
}
