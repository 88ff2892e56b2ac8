/** Everything that bounds what a caller may ask of DbProxy, in one place; all of it can be set. */
export interface DbProxyLimits {
  readonly maxSteps: number;
  /** Of one step. */
  readonly maxParams: number;
  readonly maxSqlBytes: number;
  /** Of one step's result. */
  readonly maxRows: number;
  /** Of the whole answer. */
  readonly maxResponseBytes: number;
  /** The longest that a caller may ask for, and what holds where it asks for nothing. */
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
  readonly transactionTimeoutMs: number;
  /** Connections to the database: as many transactions run at a time. */
  readonly poolSize: number;
  /** How many wait for one of them; what comes beyond is refused at once. */
  readonly maxWaiting: number;
  /** How often a transaction that gave way to another (40001, 40P01) is run again. */
  readonly conflictRetries: number;
  readonly connectTimeoutMs: number;
  /** Connections of their own for finding out what became of a request. */
  readonly settlePoolSize: number;
  /** For how long that is tried, within the caller's deadline. */
  readonly settleTimeoutMs: number;
  /** Off where a pooler stands between, which gives each transaction another session. */
  readonly preparedStatements: boolean;
  /** Of a serialization_key. */
  readonly maxKeyBytes: number;
  /** Of a response that is kept for a replay; a larger one is kept without its rows. */
  readonly maxStoredResponseBytes: number;
  /** Items of a stream that run or whose answers wait to be sent; beyond it the stream is not read. Also of one message. */
  readonly maxStreamItems: number;
  /** Beyond as many bytes of requests that run, and of answers that wait to be sent, a stream is not read either. */
  readonly maxStreamRequestBytes: number;
  readonly maxUnsentBytes: number;
  /** Answers go out in one message up to this size, and wait for each other for no longer than this. */
  readonly maxGatheredBytes: number;
  readonly maxHeldMs: number;
  /** After this a stream's caller is sent to another one, and for so long what crosses that is still taken. */
  readonly maxStreamAgeMs: number;
  readonly streamGraceMs: number;
}

const KIB = 1024;

export const defaultDbProxyLimits: DbProxyLimits = {
  maxSteps: 128,
  maxParams: 1_000,
  maxSqlBytes: 64 * KIB,
  maxRows: 10_000,
  maxResponseBytes: 4 * KIB * KIB,
  statementTimeoutMs: 5_000,
  lockTimeoutMs: 2_000,
  transactionTimeoutMs: 10_000,
  poolSize: 10,
  maxWaiting: 40,
  conflictRetries: 3,
  connectTimeoutMs: 5_000,
  settlePoolSize: 4,
  settleTimeoutMs: 5_000,
  preparedStatements: true,
  maxKeyBytes: 1_024,
  maxStoredResponseBytes: 64 * KIB,
  maxStreamItems: 1_000,
  maxStreamRequestBytes: 16 * KIB * KIB,
  maxUnsentBytes: 4 * KIB * KIB,
  maxGatheredBytes: 64 * KIB,
  maxHeldMs: 5,
  maxStreamAgeMs: 20_000,
  streamGraceMs: 1_000,
};

/** How much longer than its own timeouts PostgreSQL is waited for: they are of no use on a silent link. */
export const SILENCE_MS = 2_000;

/**
 * How much of PostgreSQL's rows is taken for one answer. Bytes come as two hexadecimal digits each, so an
 * answer within its limit can take twice that on the wire; the answer itself is measured when it is made.
 */
export function wireLimit(limits: DbProxyLimits): number {
  return 2 * limits.maxResponseBytes + 1024;
}
