/** What bounds a relay. */
export interface RelayLimits {
  /** How many are taken, and sent, at once. */
  readonly batchSize: number;
  /** How many batches are under way while there is more than one. */
  readonly batchesAtOnce: number;
  /**
   * How long what is taken is its alone. What a relay that died leaves waits for so long; where a batch takes longer,
   * another relay sends it as well, which does no harm.
   */
  readonly leaseMs: number;
  /** How long it lets gather what is written meanwhile, behind a batch that had room left: each costs some ten statements. */
  readonly gatherMs: number;
  /** How often it looks by itself. */
  readonly pollIntervalMs: number;
  /** Between two tries while the other side can't be reached, or of one that it doesn't take yet. */
  readonly minRetryMs: number;
  readonly maxRetryMs: number;
  /** How soon what is refused for good is tried again. */
  readonly parkedRetryMs: number;
}

export const defaultRelayLimits: RelayLimits = {
  batchSize: 500,
  batchesAtOnce: 2,
  leaseMs: 5_000,
  gatherMs: 20,
  pollIntervalMs: 1_000,
  minRetryMs: 100,
  maxRetryMs: 10_000,
  parkedRetryMs: 24 * 60 * 60_000,
};
