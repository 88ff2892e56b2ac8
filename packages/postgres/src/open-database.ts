import type { Logger } from "@tandem/rpc";
import { setTimeout as delay } from "node:timers/promises";
import { ConnectError } from "./connect-error.ts";
import type { Notice } from "./connection.ts";
import { createDatabase, type Database, type DatabaseOptions } from "./create-database.ts";
import { postgresLimits } from "./limits.ts";
import { MigrationError } from "./migration-error.ts";
import { migrate, type MigrationProgress } from "./migrate.ts";

export interface OpenDatabaseOptions extends DatabaseOptions {
  /** The owner role's, for the migrations. */
  readonly migrationUrl: string;
  readonly migrationsFolders: readonly string[];
  /** For how long a failure that may pass (a server that still starts, a migration under way) is met with patience. */
  readonly waitTimeoutMs?: number;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** A service's database while the service runs. */
export interface OpenDatabase extends AsyncDisposable {
  readonly database: Database;
  /** The newest migration that this build knows. */
  readonly schemaVersion: string;
  /** Whether the server is a standby, which takes no writes. */
  readonly standby: boolean;
}

/**
 * A service's database, ready for use: waited for, migrated and connected to. Fails with a ConnectError or
 * a MigrationError, at once where waiting can't help.
 */
export async function openDatabase(options: OpenDatabaseOptions): Promise<OpenDatabase> {
  const { migrationUrl, migrationsFolders, logger, signal } = options;
  const onProgress = (event: MigrationProgress): void =>
    logger.info(event, event.kind === "applying" ? "migrating" : "the database is newer");
  const migrated = await whileStarting(options, () =>
    migrate({ url: migrationUrl, folders: migrationsFolders, signal, onProgress }),
  );
  const onNotice = (notice: Notice): void => logger.debug(notice, "PostgreSQL says");
  const database = createDatabase({ onNotice, ...options });
  // Within the margin that a stop has beside its drain.
  const close = (): Promise<void> => database.close({ timeoutMs: postgresLimits.stopTimeoutMs });
  try {
    const { standby } = await whileStarting(options, () => database.ping({ signal }));
    return { database, schemaVersion: migrated.version, standby, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function whileStarting<T>(options: OpenDatabaseOptions, attempt: () => Promise<T>): Promise<T> {
  const { waitTimeoutMs = postgresLimits.startTimeoutMs, logger, signal } = options;
  const until = Date.now() + waitTimeoutMs;
  let told: string | undefined;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      const mayPass = (error instanceof ConnectError || error instanceof MigrationError) && error.passing;
      if (!mayPass || Date.now() >= until) throw error;
      if (error.message !== told) {
        logger.info({ reason: error.failure }, `waiting for the database: ${error.message}`);
      }
      told = error.message;
    }
    await delay(postgresLimits.startIntervalMs, undefined, { signal });
  }
}
