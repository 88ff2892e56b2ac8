/**
 * Every number of this package that bounds something, in one place. All of them can be set where a client is
 * created; none is read from anywhere else.
 */
export interface DbProxyLimits {
  /** How often one call is tried again. */
  readonly maxRetries: number;
  /** Before each retry passes a random time from the first to thrice as much as before, up to the second. */
  readonly minRetryDelayMs: number;
  readonly maxRetryDelayMs: number;
  /** How many retries a client has in hand, and what each of its calls adds to them again. */
  readonly retryBurst: number;
  readonly retriesPerCall: number;
  /** What part of a transaction's time is kept back to settle an unknown outcome, and how much at most. */
  readonly settlingShare: number;
  readonly maxSettlingMs: number;
}

export const defaultDbProxyLimits: DbProxyLimits = {
  maxRetries: 4,
  minRetryDelayMs: 50,
  maxRetryDelayMs: 1_000,
  retryBurst: 50,
  retriesPerCall: 0.2,
  settlingShare: 0.1,
  maxSettlingMs: 1_000,
};
