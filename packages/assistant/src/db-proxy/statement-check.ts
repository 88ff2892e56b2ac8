import { HandlerError } from "@tandem/rpc";
import { createStatementParser } from "./statement-parser.ts";
import type { Parsed } from "./statement-parser-thread.ts";

/** Judges statements' texts, each distinct one once. */
export interface StatementCheck extends AsyncDisposable {
  /** Fails with a HandlerError where the text is not one statement that may stand here. */
  check(sql: string, use: StatementUse, signal: AbortSignal): Promise<void>;
}

export type StatementUse = "step" | "query";

// The texts of a program are few; the rest are those of one that makes them as it goes.
const MAX_CACHED_CHARACTERS = 8 * 1024 * 1024;

const stepStatements: ReadonlySet<string> = new Set([
  "SelectStmt",
  "InsertStmt",
  "UpdateStmt",
  "DeleteStmt",
  "MergeStmt",
]);
const queryStatements: ReadonlySet<string> = new Set(["SelectStmt"]);

/**
 * A check by PostgreSQL's own parser: exactly one SELECT, INSERT, UPDATE, DELETE or MERGE. That keeps a step
 * from ending its own transaction, and from other callers' receipts. What else it may touch is not judged here
 * yet: the database role is the limit.
 */
export async function createStatementCheck(): Promise<StatementCheck> {
  const parser = await createStatementParser();
  const cache = createCache();
  return {
    check: async (sql, use, signal) => {
      let parsed = cache.get(sql);
      if (parsed === undefined) {
        parsed = await parser.parse(sql, signal);
        cache.add(sql, parsed);
      }
      assertAllowed(parsed, use);
    },
    [Symbol.asyncDispose]: () => parser[Symbol.asyncDispose](),
  };
}

function assertAllowed(parsed: Parsed, use: StatementUse): void {
  if ("refused" in parsed) throw refused("SQL_INVALID", parsed.refused);
  if (parsed.statements !== 1) {
    throw refused("SQL_INVALID", `A step is one statement; this text has ${parsed.statements}.`);
  }
  if (parsed.usesOwnTables) {
    throw refused(
      "STATEMENT_NOT_ALLOWED",
      "The schema tandem holds receipts, which are nobody's to read or write.",
    );
  }
  const allowed = use === "step" ? stepStatements : queryStatements;
  if (allowed.has(parsed.kind)) return;
  const what = use === "step" ? "a SELECT, INSERT, UPDATE, DELETE or MERGE" : "a SELECT";
  throw refused("STATEMENT_NOT_ALLOWED", `Only ${what} may stand here.`);
}

interface Cache {
  get(sql: string): Parsed | undefined;
  add(sql: string, parsed: Parsed): void;
}

/** Of what it was given or asked for last. */
function createCache(): Cache {
  const entries = new Map<string, Parsed>();
  let characters = 0;
  const remove = (sql: string): void => {
    if (entries.delete(sql)) characters -= sql.length;
  };
  const add = (sql: string, parsed: Parsed): void => {
    remove(sql);
    entries.set(sql, parsed);
    characters += sql.length;
    for (const [oldest] of entries) {
      if (characters <= MAX_CACHED_CHARACTERS) break;
      remove(oldest);
    }
  };
  return {
    get: (sql) => {
      const parsed = entries.get(sql);
      if (parsed !== undefined) add(sql, parsed);
      return parsed;
    },
    add,
  };
}

function refused(reason: "SQL_INVALID" | "STATEMENT_NOT_ALLOWED", message: string): HandlerError {
  return new HandlerError({ reason, message });
}
