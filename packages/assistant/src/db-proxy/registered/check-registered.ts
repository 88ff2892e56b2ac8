import { postgresLimits, translateDatabaseError } from "@tandem/postgres";
import { HandlerError, type Logger } from "@tandem/rpc";
import { setTimeout as delay } from "node:timers/promises";
import type { Catalog } from "../catalog.ts";
import type { Connections } from "../connections.ts";
import { describeStatement } from "../describe-statement.ts";
import type { Borrowed } from "../lease.ts";
import { type DbProxyLimits, SILENCE_MS } from "../limits.ts";
import { mismatchesOf, undeclaredOf } from "./mismatches.ts";
import { RegistrationError } from "./registration-error.ts";
import type { RegisteredStatement, Registry } from "./registry.ts";

export interface CheckOptions {
  readonly connections: Connections;
  readonly catalog: Catalog;
  readonly limits: DbProxyLimits;
  readonly logger: Logger;
  /** Aborted where the service is told to stop before it has started. */
  readonly signal: AbortSignal;
}

/**
 * Holds every registered statement against the database, as the role that will run it: the types of its parameters,
 * the names and types of its columns, and the role's rights. Nothing is run, so a standby can be asked as well.
 *
 * Fails with a RegistrationError that lists everything that differs. What may pass (a server that restarts, a lock)
 * is waited for, for as long as a starting service waits for its database; then it fails with a HandlerError.
 */
export async function checkRegistered(registry: Registry, options: CheckOptions): Promise<void> {
  const { connections, logger, signal } = options;
  const until = Date.now() + postgresLimits.startTimeoutMs;
  for (;;) {
    try {
      const problems = await connections.withConnection(signal, (borrowed) =>
        problemsOf(registry, borrowed, options),
      );
      if (problems.length > 0) throw new RegistrationError(problems);
      return;
    } catch (thrown) {
      signal.throwIfAborted();
      const error = thrown instanceof RegistrationError ? thrown : translateDatabaseError(thrown);
      if (!mayPass(error) || Date.now() >= until) throw error;
      logger.info({ reason: error.reason }, `waiting to check the registered statements: ${error.message}`);
    }
    await delay(postgresLimits.startIntervalMs, undefined, { signal });
  }
}

async function problemsOf(
  registry: Registry,
  borrowed: Borrowed,
  { catalog, limits }: CheckOptions,
): Promise<readonly string[]> {
  await runOnce(`SET statement_timeout = ${limits.statementTimeoutMs}`, borrowed);
  const problems: string[] = [];
  for (const statement of registry.values()) {
    borrowed.giveUpAfter(limits.statementTimeoutMs + SILENCE_MS);
    const found = await differencesOf(statement, { borrowed, catalog }).catch(refusalOf);
    problems.push(...found.map((sentence) => `${statement.name}: ${sentence}`));
  }
  return problems;
}

async function differencesOf(
  statement: RegisteredStatement,
  on: { readonly borrowed: Borrowed; readonly catalog: Catalog },
): Promise<readonly string[]> {
  const described = await describeStatement(statement.sql, on);
  // To describe a statement needs no right to its tables; to plan it does, also where it is not run.
  await runOnce(`EXPLAIN (GENERIC_PLAN) ${statement.sql}`, on.borrowed, described.params.length);
  return [...mismatchesOf(statement, described), ...undeclaredOf(statement, described)];
}

async function runOnce(text: string, borrowed: Borrowed, params = 0): Promise<void> {
  const values = Array.from({ length: params }, () => null);
  const { failure } = await borrowed.flush([{ text, execute: { values }, once: true }]);
  if (failure !== undefined) throw failure.error;
}

function refusalOf(thrown: unknown): readonly string[] {
  const { reason, retryable, database } = translateDatabaseError(thrown);
  if (retryable || database === undefined || !(thrown instanceof Error)) throw thrown;
  const who =
    reason === "INSUFFICIENT_PRIVILEGE" ? "the dbproxy role may not run it" : "PostgreSQL refuses it";
  // In its own words, whatever callers would be told: nothing was bound, and the text is the owner's.
  return [`${who}: ${thrown.message} (${database.sqlstate}).`];
}

// A role or a database that PostgreSQL doesn't let in (class 28, 3D000, 42501) is a setting to be mended.
const CLOSED = /^(28|3D000|42501)/;

function mayPass(error: unknown): error is HandlerError {
  if (!(error instanceof HandlerError) || !error.retryable) return false;
  return !CLOSED.test(error.database?.sqlstate ?? "");
}
