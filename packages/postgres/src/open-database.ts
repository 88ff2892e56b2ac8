import { setTimeout as delay } from "node:timers/promises";
import { ConnectError } from "./connect-error.ts";
import { createDatabase, type Database, type DatabaseOptions } from "./create-database.ts";
import { postgresLimits } from "./limits.ts";
import type { ServerInfo } from "./server-check.ts";
import { MigrationError } from "./migration-error.ts";
import { migrate, type MigrateResult, type MigrationProgress } from "./migrate.ts";

export interface OpenDatabaseOptions extends DatabaseOptions {
  /** The owner role's, for the migrations. */
  readonly migrationUrl: string;
  readonly migrationsFolder: string;
  /** For how long a failure that may pass (a server that still starts, a migration under way) is met with patience. */
  readonly waitTimeoutMs?: number;
  readonly signal: AbortSignal;
  readonly onMigration?: (event: MigrationProgress) => void;
  /** Told why the server is waited for, once for each reason. */
  readonly onWaiting?: (error: ConnectError | MigrationError) => void;
}

export interface OpenDatabase {
  readonly database: Database;
  readonly migrated: MigrateResult;
  readonly server: ServerInfo;
}

/**
 * A service's database, ready for use: waited for, migrated and connected to. Fails with a ConnectError or
 * a MigrationError, at once where waiting can't help.
 */
export async function openDatabase(options: OpenDatabaseOptions): Promise<OpenDatabase> {
  const { migrationUrl, migrationsFolder, signal, onMigration } = options;
  const migrated = await whileStarting(options, () =>
    migrate({
      url: migrationUrl,
      folder: migrationsFolder,
      signal,
      ...(onMigration === undefined ? {} : { onProgress: onMigration }),
    }),
  );
  const database = createDatabase(options);
  try {
    const server = await whileStarting(options, () => database.ping({ signal }));
    return { database, migrated, server };
  } catch (error) {
    await database.close();
    throw error;
  }
}

async function whileStarting<T>(options: OpenDatabaseOptions, attempt: () => Promise<T>): Promise<T> {
  const { waitTimeoutMs = postgresLimits.startTimeoutMs, signal, onWaiting } = options;
  const until = Date.now() + waitTimeoutMs;
  let told: string | undefined;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      const mayPass = (error instanceof ConnectError || error instanceof MigrationError) && error.passing;
      if (!mayPass || Date.now() >= until) throw error;
      if (error.message !== told) onWaiting?.(error);
      told = error.message;
    }
    await delay(postgresLimits.startIntervalMs, undefined, { signal });
  }
}
