import { type Database, openDatabase } from "@tandem/postgres";
import type { Logger } from "@tandem/rpc";
import type { AssistantConfig } from "../config.ts";
import { migrationsFolder } from "./migrations-folder.ts";

/** The assistant's database, migrated. */
export interface Store extends AsyncDisposable {
  readonly database: Database;
  /** The newest migration that this build knows. */
  readonly schemaVersion: string;
  /** Whether the server is a standby, which takes no writes. */
  readonly standby: boolean;
}

/** Waits for the database, migrates it and connects to it. */
export async function openStore(
  config: Pick<AssistantConfig, "databaseUrl" | "migrationUrl">,
  start: { readonly logger: Logger; readonly signal: AbortSignal },
): Promise<Store> {
  const { logger, signal } = start;
  const { database, migrated, server } = await openDatabase({
    url: config.databaseUrl,
    migrationUrl: config.migrationUrl,
    migrationsFolder: migrationsFolder(),
    applicationName: "tandem-assistant",
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
    standby: server.standby,
    // Within the margin that a stop has beside its drain.
    [Symbol.asyncDispose]: () => database.close({ timeoutMs: 2_000 }),
  };
}
