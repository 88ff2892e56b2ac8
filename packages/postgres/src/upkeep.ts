import { settlesWithin } from "@tandem/rpc";
import { setTimeout as delay } from "node:timers/promises";
import { postgresLimits } from "./limits.ts";

export interface Upkeep {
  readonly work: (signal: AbortSignal) => Promise<void>;
  /** Told of a failure; the work is done again the next time. */
  readonly failed: (error: unknown) => void;
  readonly intervalMs: number;
  /** How soon it is done again after a failure; as after a success where it isn't given. */
  readonly retryMs?: number;
  /** When it is done for the first time; at once where it isn't given. */
  readonly firstMs?: number;
}

/** Does work that has to be done now and again, until it is disposed of. It keeps no process alive. */
export function startUpkeep({
  work,
  failed,
  intervalMs,
  retryMs = intervalMs,
  firstMs = 0,
}: Upkeep): AsyncDisposable {
  const stopped = new AbortController();
  const { signal } = stopped;
  const keeping = (async (): Promise<void> => {
    let restMs = firstMs;
    while (await delay(restMs, true, { signal, ref: false }).catch(() => false)) {
      try {
        await work(signal);
        restMs = intervalMs;
      } catch (error) {
        if (signal.aborted) return;
        failed(error);
        restMs = retryMs;
      }
    }
  })();
  return {
    async [Symbol.asyncDispose]() {
      stopped.abort();
      // What hangs on a link that has gone silent ends with its connection.
      await settlesWithin(keeping, postgresLimits.stopTimeoutMs);
    },
  };
}
