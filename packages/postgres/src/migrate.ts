import { recogniseError } from "./foreign-error.ts";
import { postgresLimits } from "./limits.ts";
import { MigrationError } from "./migration-error.ts";
import { type Migration, readMigrations } from "./migration-files.ts";
import { type Session, withSession } from "./session.ts";
import { translateDatabaseError } from "./translate-database-error.ts";

/** Which database to bring up to date with which folder. */
export interface MigrateOptions {
  /** The owner role's. */
  readonly url: string;
  /** As drizzle-kit writes them: SQL files and `meta/_journal.json`. Each builds on those before it. */
  readonly folders: readonly string[];
  /** How long another process's migration is waited for. */
  readonly turnTimeoutMs?: number;
  /** How long a statement waits for a table that readers or writers of an older release have locked. */
  readonly lockTimeoutMs?: number;
  readonly statementTimeoutMs?: number;
  readonly onProgress?: (event: MigrationProgress) => void;
  /** Calls it off; nothing is applied then. */
  readonly signal?: AbortSignal;
}

// lock_not_available, deadlock_detected
const lockedCodes: ReadonlySet<string> = new Set(["55P03", "40P01"]);
// No such table, no such schema, not this role's.
const notPreparedCodes: ReadonlySet<string> = new Set(["42P01", "3F000", "42501"]);

export type MigrationProgress =
  | { readonly kind: "applying"; readonly name: string }
  /** A newer release has been here. Migrations stay compatible with the release before, so this one runs. */
  | { readonly kind: "newer"; readonly names: readonly string[] };

/** What is in the database now. */
export interface MigrateResult {
  /** The names of those that this call applied, in order. */
  readonly applied: readonly string[];
  /** Those that the database has and this build doesn't know. */
  readonly unknown: readonly string[];
  /** The last migration of this build; "" where it has none. */
  readonly version: string;
}

/**
 * Applies the migrations that the database lacks, all of them in one transaction, under a lock: of
 * replicas that start together one does the work, and the others find it done. Killed at any moment it
 * leaves nothing half applied. A migration that was applied and has changed since is refused. Fails with a
 * MigrationError, or a ConnectError where the database can't be reached.
 */
export async function migrate(options: MigrateOptions): Promise<MigrateResult> {
  const migrations = (await Promise.all(options.folders.map(readMigrations))).flat();
  const { statementTimeoutMs = postgresLimits.migrationStatementTimeoutMs, signal } = options;
  const session = {
    url: options.url,
    applicationName: "tandem-migrate",
    parameters: {
      statement_timeout: String(statementTimeoutMs),
      // A process that was stopped in the middle must not keep the others out for good.
      idle_in_transaction_session_timeout: String(postgresLimits.turnTimeoutMs),
    },
    ...(signal === undefined ? {} : { signal }),
  };
  return withSession(session, async (connected) => {
    try {
      return await migrateWithin(connected, migrations, options);
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  });
}

async function migrateWithin(
  session: Session,
  migrations: readonly Migration[],
  options: MigrateOptions,
): Promise<MigrateResult> {
  await noticeLostClients(session);
  await attempt("The migration could not begin", () => session.run("BEGIN"));
  const history = await lockHistory(session, options.turnTimeoutMs ?? postgresLimits.turnTimeoutMs);
  refuseChanged(migrations, history);
  const missing = migrations.filter(({ name }) => !history.has(name));
  const known = new Set(migrations.map(({ name }) => name));
  const unknown = [...history.keys()].filter((name) => !known.has(name));
  if (unknown.length > 0) options.onProgress?.({ kind: "newer", names: unknown });
  const lockTimeoutMs = options.lockTimeoutMs ?? postgresLimits.migrationLockTimeoutMs;
  await attempt("The migration could not begin", () =>
    session.run(`SET LOCAL lock_timeout = ${lockTimeoutMs}`),
  );
  for (const migration of missing) {
    options.onProgress?.({ kind: "applying", name: migration.name });
    await apply(session, migration, options.statementTimeoutMs ?? postgresLimits.migrationStatementTimeoutMs);
  }
  await commit(session);
  return { applied: missing.map(({ name }) => name), unknown, version: migrations.at(-1)?.name ?? "" };
}

// A statement that runs on after its client died would hold the lock for as long as it takes.
async function noticeLostClients(session: Session): Promise<void> {
  try {
    await session.run("SET client_connection_check_interval = '1s'");
  } catch (error) {
    const found = recogniseError(error);
    // Not every operating system can: there, a dead client is noticed when the statement is done.
    if (found?.kind === "server" && found.sqlstate === "22023") return;
    throw toMigrationError("The migration could not begin", error);
  }
}

// EXCLUSIVE lets others read the table, and only one at a time read it under the lock.
async function lockHistory(session: Session, turnTimeoutMs: number): Promise<ReadonlyMap<string, string>> {
  try {
    await session.run(`SET LOCAL lock_timeout = ${turnTimeoutMs}`);
    await session.run("LOCK TABLE tandem.migrations IN EXCLUSIVE MODE", [], answerWithin(turnTimeoutMs));
    const { rows } = await session.run("SELECT name, hash FROM tandem.migrations");
    return new Map(rows.map((row) => [String(row["name"]), String(row["hash"])]));
  } catch (cause) {
    const found = recogniseError(cause);
    const failed = "The table tandem.migrations could not be locked";
    if (found?.kind !== "server" || !notPreparedCodes.has(found.sqlstate))
      throw toMigrationError(failed, cause);
    const message = `${failed}: ${found.error.message}. The server has to be prepared for Tandem first (bootstrapCluster).`;
    throw new MigrationError({ failure: "NOT_PREPARED", message, cause });
  }
}

function refuseChanged(migrations: readonly Migration[], history: ReadonlyMap<string, string>): void {
  const changed = migrations.find(({ name, hash }) => history.has(name) && history.get(name) !== hash);
  if (changed === undefined) return;
  const message = `Migration ${changed.name} was applied and has been changed since: restore its file, and put the change into a new one.`;
  throw new MigrationError({ failure: "CHANGED", message });
}

async function apply(
  session: Session,
  { name, hash, statements }: Migration,
  statementTimeoutMs: number,
): Promise<void> {
  await attempt(`Migration ${name} failed`, async () => {
    for (const statement of statements) {
      await session.run(statement, [], answerWithin(statementTimeoutMs));
    }
    await session.run("INSERT INTO tandem.migrations (name, hash) VALUES ($1, $2)", [name, hash]);
  });
}

function answerWithin(timeoutMs: number): { readonly answerTimeoutMs: number } {
  return { answerTimeoutMs: timeoutMs + postgresLimits.answerMarginMs };
}

async function commit(session: Session): Promise<void> {
  const failed = "The migrations could not be committed";
  try {
    const { command } = await session.run("COMMIT");
    if (command === "COMMIT") return;
    const message = `${failed}: PostgreSQL answered ${command}. Nothing was applied.`;
    throw new MigrationError({ failure: "STATEMENT_FAILED", message });
  } catch (cause) {
    if (cause instanceof MigrationError) throw cause;
    if (translateDatabaseError(cause, { during: "commit" }).outcome !== "UNKNOWN") {
      throw toMigrationError(failed, cause);
    }
    const message =
      "The connection was lost during COMMIT: whether the migrations are applied is not known. Start again.";
    throw new MigrationError({ failure: "OUTCOME_UNKNOWN", message, cause });
  }
}

async function attempt<T>(failed: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toMigrationError(failed, error);
  }
}

function toMigrationError(failed: string, error: unknown): MigrationError {
  const found = recogniseError(error);
  if (found?.kind === "connection") {
    const message = `${failed}: the connection was lost. Nothing was applied.`;
    return new MigrationError({ failure: "CONNECTION_LOST", message, cause: error });
  }
  if (found === undefined) {
    return new MigrationError({
      failure: "STATEMENT_FAILED",
      message: `${failed}. Nothing was applied.`,
      cause: error,
    });
  }
  const locked = lockedCodes.has(found.sqlstate);
  const advice = locked ? " Another process holds a lock." : "";
  const message = `${failed}: ${found.error.message}.${advice} Nothing was applied.`;
  return new MigrationError({ failure: locked ? "LOCKED" : "STATEMENT_FAILED", message, cause: error });
}
