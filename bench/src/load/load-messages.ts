import type { Interval, LoadPlace } from "../row.ts";

/** Answered when the row could be called. */
export interface OpenLoad {
  readonly ask: "open";
  readonly place: LoadPlace;
}

/** Answered with a Measured. */
export interface RunInterval extends Interval {
  readonly ask: "interval";
}

export type LoadQuestion = OpenLoad | RunInterval;
