export {
  bootstrapCluster,
  type BootstrapClusterOptions,
  bootstrapDatabase,
  type BootstrapDatabaseOptions,
} from "./bootstrap.ts";
export { calledOff } from "./called-off.ts";
export { ConnectionLostError } from "./connection-lost-error.ts";
export { BootstrapError } from "./bootstrap-error.ts";
export { ConnectError, type ConnectFailure } from "./connect-error.ts";
export type { Notice, ResultRows, Statement } from "./connection.ts";
export { createDatabase, type Database, type DatabaseOptions, type PingOptions } from "./create-database.ts";
export { postgresLimits } from "./limits.ts";
export { parseDatabaseUrl, withDatabase } from "./database-url.ts";
export { agreeOnAuthority } from "./mirror/agree-on-authority.ts";
export { type Applied, applyMirrored, type BroughtItem } from "./mirror/apply-mirrored.ts";
export { type Authority, readAuthority } from "./mirror/authority.ts";
export { keepTombstones } from "./mirror/keep-tombstones.ts";
export { mirrorMigrationsFolder } from "./mirror/migrations-folder.ts";
export { bringInGroups, mayBeOfOne } from "./mirror/bring-in-groups.ts";
export {
  type Backlog,
  type Brought,
  createOutbox,
  type MirrorItem,
  type Outbox,
  type OutboxEntry,
} from "./mirror/outbox.ts";
export {
  type BucketDigest,
  createDatabaseSide,
  type MirrorSide,
  type RowSelection,
  type RowVersion,
} from "./mirror/mirror-side.ts";
export { type Moved, moveAuthority, type MoveOptions } from "./mirror/move-authority.ts";
export {
  isOfTheItem,
  type MirroredAggregate,
  type Relay,
  type RelayOptions,
  startRelay,
} from "./mirror/relay.ts";
export { defaultRelayLimits, type RelayLimits } from "./mirror/relay-limits.ts";
export type { RepairDirection } from "./mirror/repair-row.ts";
export { type Finding, verifyMirror, type VerifyOptions } from "./mirror/verify-mirror.ts";
export { openDatabase, type OpenDatabase, type OpenDatabaseOptions } from "./open-database.ts";
export { migrate, type MigrateOptions, type MigrateResult, type MigrationProgress } from "./migrate.ts";
export { MigrationError, type MigrationFailure } from "./migration-error.ts";
export { applyOnce, createStoreReceipts } from "./receipts/apply-once.ts";
export { exactlyOnce, type IdentifiedWrite } from "./receipts/exactly-once.ts";
export { keepReceipts } from "./receipts/keep-receipts.ts";
export { receiptsMigrationsFolder } from "./receipts/migrations-folder.ts";
export {
  insertCommitted,
  type Receipt,
  receiptFailure,
  requestInProgress,
  type RequestKey,
  SettledError,
  type TextRows,
  type TextStatement,
} from "./receipts/receipt.ts";
export { createReceipts, type Patience, type Receipts } from "./receipts/receipts.ts";
export {
  type GivenIdentity,
  isExpired,
  parseRequestId,
  parseRequestIdentity,
  type RequestIdentity,
} from "./receipts/request-identity.ts";
export { idFrom, stateUnderOneId, underOneId } from "./receipts/under-one-id.ts";
export type { Queries } from "./queries.ts";
export { provideRolePasswords, type RolePasswords } from "./role-passwords.ts";
export type { ServerInfo } from "./server-check.ts";
export type { Rows, RunStatement, Sql, SqlList, SqlValue } from "./sql.ts";
export {
  assistantDatabase,
  type DatabasePlan,
  type DatabaseRoles,
  gatewayDatabase,
  rolesOf,
} from "./tandem-databases.ts";
export type { Transaction, TransactionOptions } from "./transaction.ts";
export { isStalePlan, recogniseError } from "./foreign-error.ts";
export { timeoutSettings, type Timeouts } from "./timeout-settings.ts";
export { translateDatabaseError, type TranslateOptions } from "./translate-database-error.ts";
export { startUpkeep, type Upkeep } from "./upkeep.ts";
export { translatedSql } from "./translated-sql.ts";
export { whilePassing } from "./while-passing.ts";
