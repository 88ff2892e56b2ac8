import type { Logger } from "@tandem/rpc";
import type { Database } from "../create-database.ts";
import { postgresLimits } from "../limits.ts";
import { translateDatabaseError } from "../translate-database-error.ts";
import { startUpkeep } from "../upkeep.ts";
import { whilePassing } from "../while-passing.ts";

/**
 * Keeps room for new receipts, and drops those that are older than the retention, until it is disposed of. The
 * first time is over when this resolves: a failure that may pass is met with patience, any other is this function's.
 * Later ones are logged and tried again: there is always room for a day.
 */
export async function keepReceipts(options: {
  readonly database: Pick<Database, "sql">;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly intervalMs?: number;
  /** How soon it is tried again after a failure. */
  readonly retryMs?: number;
}): Promise<AsyncDisposable> {
  const { database, logger } = options;
  const { intervalMs = postgresLimits.receiptsUpkeepIntervalMs } = options;
  const { retryMs = postgresLimits.receiptsUpkeepRetryMs } = options;
  const once = async (): Promise<void> => {
    const seconds = postgresLimits.receiptRetentionMs / 1_000;
    for (let before = Infinity; ;) {
      const [row] = await database.sql<{ due: number }>`
        SELECT tandem.keep_receipts(make_interval(secs => ${seconds})) AS due`;
      const due = row?.due ?? 0;
      if (due === 0) return;
      // Each call drops one partition, unless that is in use.
      if (due >= before)
        return logger.info({ due }, "old receipts are in use: they are dropped the next time");
      before = due;
    }
  };
  await whilePassing(once, options.signal);
  return startUpkeep({
    work: once,
    failed: (error) =>
      logger.warn({ err: translateDatabaseError(error).cause }, "the receipts could not be kept in order"),
    intervalMs,
    retryMs,
    firstMs: intervalMs,
  });
}
