import { performance } from "node:perf_hooks";
import type { Caller, Interval, Measured } from "../row.ts";
import { percentile } from "../statistics.ts";

/**
 * Lets so many callers call, each again as soon as it is answered, until the time is up, and waits for those that
 * were underway. Rejects with the first failure: a transaction that wasn't done has no speed.
 */
export async function runClosedLoop(caller: Caller, { inFlight, durationMs }: Interval): Promise<Measured> {
  const latencies: number[] = [];
  const cpuBefore = process.cpuUsage();
  const loopBefore = performance.eventLoopUtilization();
  const started = performance.now();
  const ends = started + durationMs;
  const callAgainAndAgain = async (): Promise<void> => {
    for (let now = performance.now(); now < ends;) {
      await caller.call();
      const then = performance.now();
      latencies.push(then - now);
      now = then;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, callAgainAndAgain));
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
