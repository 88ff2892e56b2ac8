/** What bounds the redemption of invites, and their lists. */
export const inviteLimits = {
  /** So often may a redeemer be wrong on a channel within the window; then nothing is looked at for a while. */
  maxAttempts: 5,
  attemptsWindowMs: 15 * 60_000,
  lockedMs: 30 * 60_000,
  /** So long does one wait that would be one too many, if others of its redeemer that are under way are wrong. */
  maxAttemptWaitMs: 1_000,
  /** With more wrong secrets in a minute, from all redeemers of a channel, each is looked at later. */
  maxWrongAMinute: 100,
  maxSlowDownMs: 3_000,

  defaultPageSize: 100,
  maxPageSize: 1_000,
  /** A page ends before it is larger than this. */
  maxPageBytes: 2 * 1024 * 1024,

  /** How many of those that are over are marked at once, and how often they are looked for. */
  expireBatch: 500,
  expireIntervalMs: 30_000,

  maxIdBytes: 512,
} as const;
