/** Every number of this package that bounds something; those that callers may set are their defaults. */
export const postgresLimits = {
  /** The oldest major version of PostgreSQL that is supported. */
  minServerVersion: 17,

  poolSize: 10,
  /** How many wait for a connection, as a multiple of the pool's size, and for how long. */
  waitingPerConnection: 4,
  waitTimeoutMs: 5_000,
  connectTimeoutMs: 5_000,
  pingTimeoutMs: 2_000,
  /** How much longer than its own timeout a statement's answer is waited for, and how long without one. */
  answerMarginMs: 5_000,
  answerTimeoutMs: 60_000,
  /** How long a starting service waits for its server, and how often it looks. */
  startTimeoutMs: 60_000,
  startIntervalMs: 250,
  closeTimeoutMs: 5_000,
  /** How long one connection's leave-taking may last. */
  goodbyeTimeoutMs: 500,
  stopTimeoutMs: 2_000,
  /** Connections are replaced after this long, so that a server behind a name can move. */
  connectionLifetimeMs: 30 * 60_000,

  statementTimeoutMs: 5_000,
  lockTimeoutMs: 2_000,
  /** Both the idle time inside a transaction and, as a setting of the roles, the whole of it. */
  transactionTimeoutMs: 10_000,

  /** How long one starter waits for another's migration or bootstrap to end. */
  turnTimeoutMs: 60_000,
  /** How long a statement of a migration waits for a lock that rows' readers and writers hold. */
  migrationLockTimeoutMs: 5_000,
  migrationStatementTimeoutMs: 10 * 60_000,

  /** How long receipts answer for a request_id; an older one is not run any more. */
  receiptRetentionMs: 24 * 60 * 60_000,
  /** How far a caller's clock may be ahead of ours. */
  maxClockAheadMs: 60_000,
  /** How often room is made for new receipts and old ones are dropped, and how soon again after a failure. */
  receiptsUpkeepIntervalMs: 10 * 60_000,
  receiptsUpkeepRetryMs: 10_000,
  /** How soon it is tried again to find out what became of a request. */
  settleIntervalMs: 100,

  maxErrorMessageBytes: 1_024,
  /** An identifier of PostgreSQL has at most 63 bytes; a trigger may put anything in its place. */
  maxErrorFieldBytes: 256,
} as const;
