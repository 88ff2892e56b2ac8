import { HandlerError } from "@tandem/rpc";
import { setTimeout as delay } from "node:timers/promises";

/** How long something is tried, on `performance.now()`'s clock, and for whom. */
export interface Waiting {
  readonly until: number;
  readonly signal: AbortSignal;
}

// Several times as long as others wait behind a step that waits (tandem.begin_move): they get on in between.
const PAUSE_MS = 250;

/**
 * Does what has to wait for those who write at the moment, which is not waited for long, since others would wait behind
 * it: it is tried again after a pause, until it has been long enough.
 */
export async function afterWriters<T>(change: () => Promise<T>, { until, signal }: Waiting): Promise<T> {
  for (;;) {
    signal.throwIfAborted();
    try {
      return await change();
    } catch (error) {
      const mayPass =
        error instanceof HandlerError && (error.reason === "LOCK_TIMEOUT" || error.reason === "DEADLOCK");
      if (!mayPass || performance.now() >= until) throw error;
      await delay(PAUSE_MS, undefined, { signal });
    }
  }
}
