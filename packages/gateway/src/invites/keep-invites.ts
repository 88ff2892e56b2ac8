import { type Logger, settlesWithin } from "@tandem/rpc";
import { setTimeout as delay } from "node:timers/promises";
import type { Attempts } from "./attempts.ts";
import type { Invites } from "./invites.ts";
import { inviteLimits } from "./limits.ts";

const STOP_MS = 2_000;

/** Marks what has expired, and forgets attempts that are over, until it is disposed of. */
export function keepInvites(options: {
  readonly invites: Pick<Invites, "expire">;
  readonly attempts: Pick<Attempts, "forget">;
  readonly logger: Logger;
  readonly intervalMs?: number;
}): AsyncDisposable {
  const { invites, attempts, logger, intervalMs = inviteLimits.expireIntervalMs } = options;
  const stopped = new AbortController();
  const { signal } = stopped;
  const keeping = (async (): Promise<void> => {
    while (await delay(intervalMs, true, { signal, ref: false }).catch(() => false)) {
      try {
        while ((await invites.expire(signal)) >= inviteLimits.expireBatch);
        await attempts.forget();
      } catch (err) {
        // It is done again the next time.
        if (!signal.aborted) logger.warn({ err }, "expired invites could not be marked");
      }
    }
  })();
  return {
    async [Symbol.asyncDispose]() {
      stopped.abort();
      await settlesWithin(keeping, STOP_MS);
    },
  };
}
