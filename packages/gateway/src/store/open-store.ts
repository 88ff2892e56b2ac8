import { type Database, openDatabase } from "@tandem/postgres";
import type { Logger } from "@tandem/rpc";
import type { GatewayConfig } from "../config.ts";
import { migrationsFolder } from "./migrations-folder.ts";

/** The gateway's database, migrated. */
export interface Store extends AsyncDisposable {
  readonly database: Database;
  /** The newest migration that this build knows. */
  readonly schemaVersion: string;
}

/** Waits for the database, migrates it and connects to it. */
export async function openStore(
  config: Pick<GatewayConfig, "databaseUrl" | "migrationUrl">,
  start: { readonly logger: Logger; readonly signal: AbortSignal },
): Promise<Store> {
  const { logger, signal } = start;
  const { database, migrated } = await openDatabase({
    url: config.databaseUrl,
    migrationUrl: config.migrationUrl,
    migrationsFolder: migrationsFolder(),
    applicationName: "tandem-gateway",
    signal,
    onMigration: (event) =>
      logger.info(event, event.kind === "applying" ? "migrating" : "the database is newer"),
    onWaiting: (error) =>
      logger.info({ reason: error.failure }, `waiting for the database: ${error.message}`),
    onNotice: (notice) => logger.debug(notice, "PostgreSQL says"),
  });
  return {
    database,
    schemaVersion: migrated.version,
    // Within the margin that a stop has beside its drain.
    [Symbol.asyncDispose]: () => database.close({ timeoutMs: 2_000 }),
  };
}
