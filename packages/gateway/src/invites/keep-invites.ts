import { startUpkeep } from "@tandem/postgres";
import type { Logger } from "@tandem/rpc";
import type { Attempts } from "./attempts.ts";
import type { Invites } from "./invites.ts";
import { inviteLimits } from "./limits.ts";

/** Marks what has expired, and forgets attempts that are over, now and again until it is disposed of. */
export function keepInvites(options: {
  readonly invites: Pick<Invites, "expire">;
  readonly attempts: Pick<Attempts, "forget">;
  readonly logger: Logger;
  readonly intervalMs?: number;
}): AsyncDisposable {
  const { invites, attempts, logger, intervalMs = inviteLimits.expireIntervalMs } = options;
  const failed = (what: string) => (err: unknown) => logger.warn({ err }, `${what}: it is tried again`);
  const keeping = new AsyncDisposableStack();
  keeping.use(
    startUpkeep({
      work: async (signal) => {
        while ((await invites.expire(signal)) >= inviteLimits.expireBatch);
      },
      failed: failed("expired invites could not be marked"),
      intervalMs,
    }),
  );
  keeping.use(
    startUpkeep({
      work: () => attempts.forget(),
      failed: failed("attempts that are over could not be forgotten"),
      intervalMs,
    }),
  );
  return keeping;
}
