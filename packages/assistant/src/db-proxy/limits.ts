/** Every number that bounds what a caller may ask of DbProxy, in one place; all of them can be set. */
export interface DbProxyLimits {
  readonly maxSteps: number;
  /** Of one step. */
  readonly maxParams: number;
  readonly maxSqlBytes: number;
  /** Of one step's result. */
  readonly maxRows: number;
  /** Of the whole answer. */
  readonly maxResponseBytes: number;
  /** How deep lists may be nested: PostgreSQL's own limit. */
  readonly maxListDepth: number;
  /** The longest that a caller may ask for, and what holds where it asks for nothing. */
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
  readonly transactionTimeoutMs: number;
  /** Connections to the database: as many transactions run at a time. */
  readonly poolSize: number;
  readonly connectTimeoutMs: number;
}

const KIB = 1024;

export const defaultDbProxyLimits: DbProxyLimits = {
  maxSteps: 128,
  maxParams: 1_000,
  maxSqlBytes: 64 * KIB,
  maxRows: 10_000,
  maxResponseBytes: 4 * KIB * KIB,
  maxListDepth: 6,
  statementTimeoutMs: 5_000,
  lockTimeoutMs: 2_000,
  transactionTimeoutMs: 10_000,
  poolSize: 10,
  connectTimeoutMs: 5_000,
};
