export {
  bootstrapCluster,
  type BootstrapClusterOptions,
  bootstrapDatabase,
  type BootstrapDatabaseOptions,
} from "./bootstrap.ts";
export { BootstrapError } from "./bootstrap-error.ts";
export { ConnectError, type ConnectFailure } from "./connect-error.ts";
export {
  createDatabase,
  type Database,
  type DatabaseOptions,
  type PingOptions,
  type Queries,
  type Rows,
  type Sql,
  type SqlList,
  type SqlValue,
} from "./create-database.ts";
export { parseDatabaseUrl, withDatabase } from "./database-url.ts";
export type { Notice } from "./driver.ts";
export { openDatabase, type OpenDatabase, type OpenDatabaseOptions } from "./open-database.ts";
export { migrate, type MigrateOptions, type MigrateResult, type MigrationProgress } from "./migrate.ts";
export { MigrationError, type MigrationFailure } from "./migration-error.ts";
export type { ServerInfo } from "./server-check.ts";
export {
  assistantDatabase,
  type DatabasePlan,
  type DatabaseRoles,
  gatewayDatabase,
  rolesOf,
} from "./tandem-databases.ts";
export { translateDatabaseError, type TranslateOptions } from "./translate-database-error.ts";
