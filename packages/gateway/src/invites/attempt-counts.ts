import type { Sql } from "@tandem/postgres";

/** Who shows a secret, and where. */
export interface Guesser {
  readonly channel: string;
  /** In the one form that their address has. */
  readonly redeemer: string;
}

/** The rows by which attempts are counted: of each guesser those under way and those that were wrong, since a time. */
export interface AttemptCounts {
  /** Takes one of those that are left; says since when they are counted. One statement: at once no more are taken either. */
  take(guesser: Guesser): Promise<string | undefined>;
  /** For how long none is left, in milliseconds, where that is certain. */
  lockedFor(guesser: Guesser): Promise<number | undefined>;
  /** What comes late, when they are counted anew, counts no more. */
  giveBack(guesser: Guesser, since: string): Promise<void>;
  wrong(guesser: Guesser, since: string): Promise<void>;
  forget(): Promise<void>;
}

export function createAttemptCounts(
  sql: Sql,
  limits: { readonly maxAttempts: number; readonly attemptsWindowMs: number; readonly lockedMs: number },
): AttemptCounts {
  const { maxAttempts } = limits;
  const [windowSeconds, lockedSeconds] = [limits.attemptsWindowMs / 1_000, limits.lockedMs / 1_000];
  return {
    take: async ({ channel, redeemer }) => {
      const [row] = await sql<{ since: string }>`
        INSERT INTO redeem_attempts AS a (channel, redeemer, since) VALUES (${channel}, ${redeemer}, now())
        ON CONFLICT (channel, redeemer) DO UPDATE SET
          (since, attempts, wrong, locked_until) = (
            SELECT CASE WHEN over THEN now() ELSE a.since END, CASE WHEN over THEN 1 ELSE a.attempts + 1 END,
              CASE WHEN over THEN 0 ELSE a.wrong END, NULL::timestamptz
            FROM (SELECT coalesce(
              a.locked_until <= now(), a.since < now() - make_interval(secs => ${windowSeconds})
            ) AS over) AS o
          )
        WHERE coalesce(a.locked_until <= now(), a.since < now() - make_interval(secs => ${windowSeconds}))
          OR (a.locked_until IS NULL AND a.attempts < ${maxAttempts})
        RETURNING since`;
      return row?.since;
    },
    lockedFor: async ({ channel, redeemer }) => {
      const [row] = await sql<{ locked_ms: number }>`
        SELECT (extract(epoch FROM locked_until - now()) * 1000)::float8 AS locked_ms FROM redeem_attempts
        WHERE channel = ${channel} AND redeemer = ${redeemer} AND locked_until > now()`;
      return row?.locked_ms;
    },
    giveBack: async ({ channel, redeemer }, since) => {
      await sql`
        UPDATE redeem_attempts SET attempts = attempts - 1
        WHERE channel = ${channel} AND redeemer = ${redeemer} AND since = ${since}::timestamptz AND attempts > 0`;
    },
    wrong: async ({ channel, redeemer }, since) => {
      await sql`
        UPDATE redeem_attempts SET wrong = wrong + 1,
          locked_until = CASE WHEN wrong + 1 >= ${maxAttempts} THEN now() + make_interval(secs => ${lockedSeconds}) END
        WHERE channel = ${channel} AND redeemer = ${redeemer} AND since = ${since}::timestamptz`;
    },
    forget: async () => {
      const before = Math.max(windowSeconds, lockedSeconds) * 2;
      await sql`DELETE FROM redeem_attempts WHERE since < now() - make_interval(secs => ${before})`;
    },
  };
}
