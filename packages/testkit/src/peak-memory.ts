import { readFile, writeFile } from "node:fs/promises";

/** How much memory a process holds, as its kernel sees it. */
export interface PeakMemory {
  /** What it holds now. From here on the peak counts anew. */
  reset(): Promise<number>;
  /** The most that it held since then. */
  peak(): Promise<number>;
}

/** Undefined where there is no /proc that says so: on anything but Linux. */
export async function watchPeakMemory(pid: number): Promise<PeakMemory | undefined> {
  const read = async (field: string): Promise<number> => {
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    const kib = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1];
    if (kib === undefined) throw new Error(`/proc/${pid}/status doesn't say ${field}.`);
    return Number(kib) * 1024;
  };
  const watch: PeakMemory = {
    reset: async () => {
      // https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html
      await writeFile(`/proc/${pid}/clear_refs`, "5");
      return read("VmRSS");
    },
    peak: () => read("VmHWM"),
  };
  try {
    await watch.reset();
    return watch;
  } catch {
    return undefined;
  }
}
