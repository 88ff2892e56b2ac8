import { performance } from "node:perf_hooks";
import type { Caller, Interval, Measured } from "../row.ts";
import { percentile } from "../statistics.ts";

/**
 * Lets so many callers call, each again as soon as it is answered, until the time is up or a call fails, and waits
 * for those that were underway. Rejects with a failure: a transaction that wasn't done has no speed.
 */
export async function runClosedLoop(caller: Caller, { inFlight, durationMs }: Interval): Promise<Measured> {
  const latencies: number[] = [];
  const cpuBefore = process.cpuUsage();
  const loopBefore = performance.eventLoopUtilization();
  const started = performance.now();
  let ends = started + durationMs;
  const callAgainAndAgain = async (): Promise<void> => {
    for (let now = performance.now(); now < ends;) {
      await caller.call().catch((error: unknown) => {
        ends = 0;
        throw error;
      });
      const then = performance.now();
      latencies.push(then - now);
      now = then;
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: inFlight }, callAgainAndAgain));
  const failed = ended.find((each) => each.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  const elapsedMs = performance.now() - started;
  const cpu = process.cpuUsage(cpuBefore);
  const loop = performance.eventLoopUtilization(loopBefore);
  const sorted = Float64Array.from(latencies).toSorted();
  return {
    completed: sorted.length,
    elapsedMs,
    p50Ms: percentile(sorted, 0.5),
    p99Ms: percentile(sorted, 0.99),
    cpuMs: { client: (cpu.user + cpu.system) / 1_000 },
    clientBusy: loop.utilization,
  };
}
