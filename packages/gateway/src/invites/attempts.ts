import type { Database } from "@tandem/postgres";
import { HandlerError } from "@tandem/rpc";
import { setTimeout as delay } from "node:timers/promises";
import { inviteLimits } from "./limits.ts";

/** Who shows a secret, and where. */
export interface Guesser {
  readonly channel: string;
  /** As the channel knows them. */
  readonly redeemer: string;
}

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
   * Reserves an attempt, in a transaction of its own: what is shown at the same time counts before it is looked up. Fails
   * with TOO_MANY_ATTEMPTS. Where a whole channel is guessed at, it takes its time.
   */
  reserve(guesser: Guesser, signal: AbortSignal): Promise<Attempt>;
  /** Forgets what is over. */
  forget(): Promise<void>;
}

export function createAttempts({ sql }: Pick<Database, "sql">): Attempts {
  const { maxAttempts, attemptsWindowMs, lockedMs } = inviteLimits;
  const seconds = (ms: number): number => ms / 1_000;
  return {
    reserve: async (guesser, signal) => {
      const { channel, redeemer } = guesser;
      // One statement, so that of any number at once no more than so many get through.
      const [row] = await sql<{ locked_ms: number | null }>`
        INSERT INTO redeem_attempts AS a (channel, redeemer, since) VALUES (${channel}, ${redeemer}, clock_timestamp())
        ON CONFLICT (channel, redeemer) DO UPDATE SET
          since = CASE WHEN a.locked_until > clock_timestamp() THEN a.since
            WHEN a.locked_until IS NOT NULL OR a.since < clock_timestamp() - make_interval(secs => ${seconds(attemptsWindowMs)})
              THEN clock_timestamp()
            ELSE a.since END,
          attempts = CASE WHEN a.locked_until > clock_timestamp() THEN a.attempts
            WHEN a.locked_until IS NOT NULL OR a.since < clock_timestamp() - make_interval(secs => ${seconds(attemptsWindowMs)})
              THEN 1
            ELSE a.attempts + 1 END,
          locked_until = CASE WHEN a.locked_until > clock_timestamp() THEN a.locked_until
            WHEN a.locked_until IS NULL AND a.attempts >= ${maxAttempts}
              AND a.since >= clock_timestamp() - make_interval(secs => ${seconds(attemptsWindowMs)})
              THEN clock_timestamp() + make_interval(secs => ${seconds(lockedMs)})
            ELSE NULL END
        RETURNING (extract(epoch FROM locked_until - clock_timestamp()) * 1000)::float8 AS locked_ms`;
      const lockedForMs = row?.locked_ms ?? undefined;
      if (lockedForMs !== undefined) throw tooMany(lockedForMs);
      await slowDown(channel, signal);
      return attemptOf(guesser);
    },
    forget: async () => {
      const before = seconds(Math.max(attemptsWindowMs, lockedMs) * 2);
      await sql`DELETE FROM redeem_attempts WHERE since < clock_timestamp() - make_interval(secs => ${before})`;
      await sql`DELETE FROM wrong_secrets WHERE minute < clock_timestamp() - make_interval(secs => ${before})`;
    },
  };

  function attemptOf({ channel, redeemer }: Guesser): Attempt {
    return {
      giveBack: async () => {
        await sql`
          UPDATE redeem_attempts SET attempts = attempts - 1
          WHERE channel = ${channel} AND redeemer = ${redeemer} AND attempts > 0 AND locked_until IS NULL`;
      },
      wrong: async () => {
        await sql`
          INSERT INTO wrong_secrets AS w (channel, minute) VALUES (${channel}, date_trunc('minute', clock_timestamp()))
          ON CONFLICT (channel, minute) DO UPDATE SET count = w.count + 1`;
      },
    };
  }

  /** Who guesses as many are held up, not whoever else redeems: longer, the more of them there are. */
  async function slowDown(channel: string, signal: AbortSignal): Promise<void> {
    const { maxWrongAMinute, maxSlowDownMs } = inviteLimits;
    const [row] = await sql<{ wrong: bigint }>`
      SELECT coalesce(sum(count), 0)::int8 AS wrong FROM wrong_secrets
      WHERE channel = ${channel} AND minute >= date_trunc('minute', clock_timestamp()) - interval '1 minute'`;
    const excess = Number(row?.wrong ?? 0n) - maxWrongAMinute;
    if (excess <= 0) return;
    await delay(Math.min(maxSlowDownMs, excess * 10), undefined, { signal });
  }
}

function tooMany(lockedForMs: number): HandlerError {
  const retryAfterMs = Math.max(1, Math.ceil(lockedForMs));
  return new HandlerError({
    reason: "TOO_MANY_ATTEMPTS",
    message: `Too many wrong codes: no further one is looked at for ${Math.ceil(retryAfterMs / 60_000)} min.`,
    retryAfterMs,
  });
}
