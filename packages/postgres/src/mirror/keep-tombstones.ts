import type { Logger } from "@tandem/rpc";
import type { Database } from "../create-database.ts";
import { translateDatabaseError } from "../translate-database-error.ts";
import { startUpkeep } from "../upkeep.ts";

const INTERVAL_MS = 60 * 60_000;
const BATCH = 1_000;

/**
 * Forgets, until it is disposed of, what was deleted more than 30 days ago. What the mirror hasn't heard of yet is kept; the
 * 30 days begin anew when it has, and the side that decides keeps everything a day longer: what is made again there is above
 * what the mirror remembers.
 */
export function keepTombstones(options: {
  readonly database: Pick<Database, "sql">;
  readonly logger: Logger;
  readonly intervalMs?: number;
}): AsyncDisposable {
  const { database, logger, intervalMs = INTERVAL_MS } = options;
  return startUpkeep({
    work: async (signal) => {
      while (!signal.aborted && (await forgetSome(database)) === BATCH);
    },
    failed: (error) =>
      logger.warn({ err: translateDatabaseError(error).cause }, "old tombstones could not be forgotten"),
    intervalMs,
  });
}

async function forgetSome({ sql }: Pick<Database, "sql">): Promise<number> {
  const forgotten = await sql`
    DELETE FROM tandem.tombstones t USING (
      SELECT old.aggregate, old.id FROM tandem.tombstones old, tandem.authority a
      WHERE old.deleted_at < clock_timestamp() - interval '30 days'
          - CASE WHEN a.authority = a.side THEN interval '1 day' ELSE interval '0' END
        AND NOT EXISTS (SELECT FROM tandem.outbox o WHERE o.aggregate = old.aggregate AND o.id = old.id)
      LIMIT ${BATCH}
    ) AS old WHERE t.aggregate = old.aggregate AND t.id = old.id RETURNING t.id`;
  return forgotten.length;
}
