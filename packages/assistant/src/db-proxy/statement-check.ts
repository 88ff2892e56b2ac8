import { HandlerError } from "@tandem/rpc";
import { judge, judgeText, notAllowed } from "./policy/judge.ts";
import type { CallerPolicy, Catalogue } from "./policy/policy.ts";
import type { ReadAccess } from "./policy/read-access.ts";
import { createStatementParser, type Sender } from "./statement-parser.ts";
import type { Parsed } from "./statement-parser-thread.ts";
import { createTextCache } from "./text-cache.ts";

/** Judges statements' texts, each distinct one once. */
export interface StatementCheck extends AsyncDisposable {
  /** Fails with a HandlerError where the text is not one statement that its caller may use here. */
  check(sql: string, rules: StatementRules, signal: AbortSignal): Promise<void>;
  /** The same, of a text of the owner's own as a step; says whether it only reads. */
  readOwn(sql: string): Promise<{ readonly reads: boolean }>;
}

export interface StatementRules {
  readonly use: StatementUse;
  /** Who sent it: callers take turns at the parser. */
  readonly caller: string;
  /** The caller's; where there is none, the database role is the limit. */
  readonly policy: CallerPolicy | undefined;
}

export type StatementUse = "step" | "query";

// The texts of a program are few; the rest are those of one that makes them as it goes.
const MAX_CACHED_CHARACTERS = 8 * 1024 * 1024;
// What a column, a table or a function in what is known of a text weighs beside the text.
const CHARACTERS_PER_NAME = 64;

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
 * from ending its own transaction, and from other callers' receipts. What it touches is read once, and held
 * against the policy of each caller that sends it.
 *
 * @param catalogue gives what the database has, once a caller with a policy sends SQL
 */
export async function createStatementCheck(catalogue?: () => Catalogue | undefined): Promise<StatementCheck> {
  const parser = await createStatementParser();
  const cache = createTextCache<Parsed>({ maxCharacters: MAX_CACHED_CHARACTERS, weigh });
  const parse = async (sql: string, sender: Sender): Promise<Parsed> => {
    const known = cache.get(sql);
    if (known !== undefined) return known;
    const parsed = await parser.parse(sql, sender);
    cache.set(sql, parsed);
    return parsed;
  };
  return {
    check: async (sql, { use, caller, policy }, signal) => {
      const refusal = policy && judgeText(policy);
      if (refusal !== undefined) throw refusal;
      const parsed = await parse(sql, { caller, signal });
      assertAllowed(parsed, { use, policy, catalogue: policy && catalogue?.() });
    },
    readOwn: async (sql) => {
      const parsed = await parser.parse(sql, { caller: "", signal: new AbortController().signal });
      assertAllowed(parsed, { use: "step", policy: undefined, catalogue: undefined });
      return { reads: "kind" in parsed && queryStatements.has(parsed.kind) && !writes(parsed.access) };
    },
    [Symbol.asyncDispose]: () => parser[Symbol.asyncDispose](),
  };
}

function assertAllowed(
  parsed: Parsed,
  {
    use,
    policy,
    catalogue,
  }: Pick<StatementRules, "use" | "policy"> & {
    readonly catalogue: Catalogue | undefined;
  },
): void {
  if ("refused" in parsed) throw invalid(parsed.refused);
  if (parsed.statements !== 1) {
    throw invalid(`A step is one statement; this text has ${parsed.statements}.`);
  }
  if (parsed.usesOwnTables) {
    throw notAllowed("The schema tandem holds receipts, which are nobody's to read or write.");
  }
  const allowed = use === "step" ? stepStatements : queryStatements;
  if (!allowed.has(parsed.kind)) {
    const what = use === "step" ? "a SELECT, INSERT, UPDATE, DELETE or MERGE" : "a SELECT";
    throw notAllowed(`Only ${what} may stand here.`);
  }
  if (policy === undefined) return;
  if (catalogue === undefined) throw new Error("A policy is asked before it is known what the database has.");
  const refusal = judge(parsed.access, { policy, catalogue });
  if (refusal !== undefined) throw refusal;
  if (use === "query" && writes(parsed.access)) throw notAllowed("A query reads: this one would write.");
}

/** Or locks rows, which a read-only transaction may not do either. */
function writes(access: ReadAccess): boolean {
  if ("refused" in access) return false;
  return [...access.tables.values()].some((verbs) => verbs.insert ?? verbs.update ?? verbs.delete);
}

function weigh(parsed: Parsed): number {
  if ("refused" in parsed || "refused" in parsed.access) return 0;
  const { tables, functions, unclear, behind } = parsed.access;
  let names = tables.size + functions.size + unclear.size + behind.rows.size + behind.values.size;
  for (const columns of behind.tables.values()) names += columns.size;
  for (const verbs of tables.values()) {
    for (const columns of [verbs.select, verbs.insert, verbs.update]) names += columns?.size ?? 0;
  }
  return names * CHARACTERS_PER_NAME;
}

function invalid(message: string): HandlerError {
  return new HandlerError({ reason: "SQL_INVALID", message });
}
