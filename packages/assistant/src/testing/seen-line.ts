import type { BystanderCall } from "./bystander-thread.ts";
import type { Seen } from "./guarded-proxy.ts";

const MIB = 1024 * 1024;

/** A line of a report: how much memory it took, and the bystander's p99. */
export function line(what: string, { grownBytes, calls }: Seen): string {
  const grown = grownBytes === undefined ? "not measured: no /proc" : `${(grownBytes / MIB).toFixed(1)} MiB`;
  return `${grown.padStart(9)}  p99 ${percentile(calls, 0.99).toFixed(0).padStart(4)} ms  ${what}`;
}

/** Of how long a bystander's calls took. */
export function percentile(calls: readonly BystanderCall[], part: number): number {
  const sorted = calls.map(({ ms }) => ms).toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) * part)] ?? 0;
}
