import { type Logger, settlesWithin } from "@tandem/rpc";
import { setTimeout as delay } from "node:timers/promises";
import type { Attempts } from "./attempts.ts";
import type { Invites } from "./invites.ts";
import { inviteLimits } from "./limits.ts";

const STOP_MS = 2_000;

/** Marks what has expired, and forgets attempts that are over, now and again until it is disposed of. */
export function keepInvites(options: {
  readonly invites: Pick<Invites, "expire">;
  readonly attempts: Pick<Attempts, "forget">;
  readonly logger: Logger;
  readonly intervalMs?: number;
}): AsyncDisposable {
  const { invites, attempts, logger, intervalMs = inviteLimits.expireIntervalMs } = options;
  const stopped = new AbortController();
  const { signal } = stopped;
  const keep = async (work: () => Promise<void>, what: string): Promise<void> => {
    await work().catch((err: unknown) => {
      // It is done again the next time.
      if (!signal.aborted) logger.warn({ err }, `${what}: it is tried again`);
    });
  };
  const keeping = (async (): Promise<void> => {
    do {
      await keep(async () => {
        while ((await invites.expire(signal)) >= inviteLimits.expireBatch);
      }, "expired invites could not be marked");
      await keep(() => attempts.forget(), "attempts that are over could not be forgotten");
    } while (await delay(intervalMs, true, { signal, ref: false }).catch(() => false));
  })();
  return {
    async [Symbol.asyncDispose]() {
      stopped.abort();
      await settlesWithin(keeping, STOP_MS);
    },
  };
}
