import { HandlerError } from "@tandem/rpc";
import { hasSqlDetails, loadModule, parseSync } from "libpg-query";

/** Judges a step's text. Fails with a HandlerError where the text is not one statement that a step may be. */
export type StatementCheck = (sql: string, use: "step" | "query") => void;

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
 * from ending its own transaction. What it may touch is not judged here yet: the database role is the limit.
 */
export async function createStatementCheck(): Promise<StatementCheck> {
  await loadModule();
  return (sql, use) => {
    const statements = parse(sql);
    const [only] = statements;
    if (only === undefined || statements.length > 1) {
      throw refused("SQL_INVALID", `A step is one statement; this text has ${statements.length}.`);
    }
    const allowed = use === "step" ? stepStatements : queryStatements;
    const kind = Object.keys(only.stmt ?? {})[0] ?? "";
    if (allowed.has(kind)) return;
    const what = use === "step" ? "a SELECT, INSERT, UPDATE, DELETE or MERGE" : "a SELECT";
    throw refused("STATEMENT_NOT_ALLOWED", `Only ${what} may stand here.`);
  };
}

function parse(sql: string): readonly { stmt?: object }[] {
  try {
    return parseSync(sql).stmts ?? [];
  } catch (error) {
    // The parser quotes the text, which is the caller's own; there are no values in it but literals.
    const details = hasSqlDetails(error) ? error.sqlDetails?.message : undefined;
    throw refused("SQL_INVALID", details ?? "The statement is not one that PostgreSQL can parse.");
  }
}

function refused(reason: "SQL_INVALID" | "STATEMENT_NOT_ALLOWED", message: string): HandlerError {
  return new HandlerError({ reason, message });
}
