import { setTimeout as delay } from "node:timers/promises";
import { postgresLimits } from "./limits.ts";
import { translateDatabaseError } from "./translate-database-error.ts";

/**
 * Does what a starting service needs from its database. Where that fails for a reason that may pass, a link that
 * breaks, a server that restarts, it is done again, for as long as a start waits for the database.
 */
export async function whilePassing<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  const until = Date.now() + postgresLimits.startTimeoutMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (!translateDatabaseError(error).retryable || Date.now() >= until) throw error;
    }
    await delay(postgresLimits.startIntervalMs, undefined, { signal });
  }
}
