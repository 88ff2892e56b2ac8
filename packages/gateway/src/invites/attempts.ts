import { type Database, translatedSql } from "@tandem/postgres";
import { HandlerError } from "@tandem/rpc";
import { setTimeout as delay } from "node:timers/promises";
import { createAttemptCounts, type Guesser } from "./attempt-counts.ts";
import { inviteLimits } from "./limits.ts";
import { createSlowDown } from "./slow-down.ts";

/** What was reserved before a secret is looked up. */
export interface Attempt {
  /** It was no wrong guess: it doesn't count. */
  giveBack(): Promise<void>;
  /** It was one. */
  wrong(): Promise<void>;
}

/** How often somebody may be wrong, counted in the gateway's own database, which all replicas share. */
export interface Attempts {
  /**
   * Reserves an attempt, in a transaction of its own: what is shown at the same time counts before it is looked up, and
   * waits for a while where it would be one too many. Fails with TOO_MANY_ATTEMPTS. Where a whole channel is guessed at, it
   * takes its time. Where it can't be reserved, with what the database failed with.
   */
  reserve(guesser: Guesser, signal: AbortSignal): Promise<Attempt>;
  /** Forgets what is over. */
  forget(): Promise<void>;
}

/** The part of the limits that bounds attempts. */
export type AttemptLimits = {
  readonly [
    Name in
      | "maxAttempts"
      | "attemptsWindowMs"
      | "lockedMs"
      | "maxAttemptWaitMs"
      | "maxWrongAMinute"
      | "maxSlowDownMs"
  ]: number;
};

// How soon it is looked again whether one that is under way was right: later each time.
const FIRST_POLL_MS = 20;
const MAX_POLL_MS = 200;
// An attempt is refused for now because others are under way for so long.
const RETRY_SOON_MS = 1_000;

export function createAttempts(
  database: Pick<Database, "sql">,
  limits: AttemptLimits = inviteLimits,
): Attempts {
  const sql = translatedSql(database);
  const counts = createAttemptCounts(sql, limits);
  const slowDown = createSlowDown(sql, limits);
  const attemptOf = (guesser: Guesser, since: string): Attempt => ({
    giveBack: () => counts.giveBack(guesser, since),
    wrong: async () => {
      await counts.wrong(guesser, since);
      await slowDown.count(guesser.channel);
    },
  });
  return {
    reserve: async (guesser, signal) => {
      const until = performance.now() + limits.maxAttemptWaitMs;
      for (let pollMs = FIRST_POLL_MS; ; pollMs = Math.min(pollMs * 2, MAX_POLL_MS)) {
        const since = await counts.take(guesser);
        if (since !== undefined) {
          const attempt = attemptOf(guesser, since);
          await slowDown.wait(guesser.channel, signal).catch(async (error: unknown) => {
            await attempt.giveBack();
            throw error;
          });
          return attempt;
        }
        const lockedForMs = await counts.lockedFor(guesser);
        if (lockedForMs !== undefined) throw locked(lockedForMs);
        if (performance.now() >= until || signal.aborted) throw busy();
        await delay(pollMs, undefined, { signal }).catch(() => undefined);
      }
    },
    forget: async () => {
      await counts.forget();
      await slowDown.forget();
    },
  };
}

function locked(forMs: number): HandlerError {
  const retryAfterMs = Math.max(1, Math.ceil(forMs));
  const message = `Too many wrong codes: no further one is looked at for ${Math.ceil(retryAfterMs / 60_000)} min.`;
  return new HandlerError({ reason: "TOO_MANY_ATTEMPTS", message, retryAfterMs });
}

function busy(): HandlerError {
  const message = "As many codes of this redeemer as may be wrong are being looked at: try again soon.";
  return new HandlerError({ reason: "TOO_MANY_ATTEMPTS", message, retryAfterMs: RETRY_SOON_MS });
}
