import { setTimeout as delay } from "node:timers/promises";
import { ConnectError } from "./connect-error.ts";
import { createDatabase, type Database, type DatabaseOptions } from "./create-database.ts";
import { postgresLimits } from "./limits.ts";
import { migrate, type MigrateResult, type MigrationProgress } from "./migrate.ts";

export interface OpenDatabaseOptions extends DatabaseOptions {
  /** The owner role's, for the migrations. */
  readonly migrationUrl: string;
  readonly migrationsFolder: string;
  /** How long a server that can't be reached, or still starts, is waited for. */
  readonly waitTimeoutMs?: number;
  readonly signal: AbortSignal;
  readonly onMigration?: (event: MigrationProgress) => void;
  /** Told why the server is waited for, once for each reason. */
  readonly onWaiting?: (error: ConnectError) => void;
}

export interface OpenDatabase {
  readonly database: Database;
  readonly migrated: MigrateResult;
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
    await whileStarting(options, () => database.ping({ signal }));
    return { database, migrated };
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
      const waits = error instanceof ConnectError && error.passing && Date.now() < until;
      if (!waits) throw error;
      if (error.message !== told) onWaiting?.(error);
      told = error.message;
    }
    await delay(postgresLimits.startIntervalMs, undefined, { signal });
  }
}
