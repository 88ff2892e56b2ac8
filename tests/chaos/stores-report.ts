import type { End } from "./terminations.ts";

/** What stores-process.ts says when it is done. */
export interface StoresReport {
  readonly ends: readonly (readonly [id: string, end: End])[];
  /** How many calls a lost connection has failed. */
  readonly hit: number;
  readonly longestMs: number;
  /** The longest time in which nothing was committed. */
  readonly longestOutageMs: number;
  /** Failures that a lost connection doesn't explain. */
  readonly unexpected: readonly string[];
}
