import type { Sql } from "@tandem/postgres";
import { setTimeout as delay } from "node:timers/promises";

/** How many wrong secrets there were on a channel of late, from all redeemers. */
export interface SlowDown {
  /** Waits, where there were many: longer, the more there were. Nobody is locked out by others. */
  wait(channel: string, signal: AbortSignal): Promise<void>;
  count(channel: string): Promise<void>;
  forget(): Promise<void>;
}

// For each that is too many.
const STEP_MS = 10;

export function createSlowDown(
  sql: Sql,
  { maxWrongAMinute, maxSlowDownMs }: { readonly maxWrongAMinute: number; readonly maxSlowDownMs: number },
): SlowDown {
  return {
    wait: async (channel, signal) => {
      // Of the minute before, the part that is less than a minute ago.
      const [row] = await sql<{ wrong: number }>`
        SELECT coalesce(sum(
          CASE WHEN minute = date_trunc('minute', now()) THEN count ELSE count * (1 - extract(second FROM now()) / 60) END
        ), 0)::float8 AS wrong FROM wrong_secrets
        WHERE channel = ${channel} AND minute >= date_trunc('minute', now()) - interval '1 minute'`;
      const excess = (row?.wrong ?? 0) - maxWrongAMinute;
      if (excess > 0)
        await delay(Math.min(maxSlowDownMs, Math.ceil(excess * STEP_MS)), undefined, { signal });
    },
    count: async (channel) => {
      await sql`
        INSERT INTO wrong_secrets AS w (channel, minute) VALUES (${channel}, date_trunc('minute', now()))
        ON CONFLICT (channel, minute) DO UPDATE SET count = w.count + 1`;
    },
    forget: async () => {
      await sql`DELETE FROM wrong_secrets WHERE minute < now() - interval '10 minutes'`;
    },
  };
}
