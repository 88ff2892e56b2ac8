import { HandlerError } from "@tandem/rpc";
import { type Access, ALL_COLUMNS, type TableAccess, type Verb } from "./access.ts";
import { isNeverAllowed } from "./built-in-functions.ts";
import type { CallerPolicy, Catalogue, TablePolicy } from "./policy.ts";
import type { ReadAccess } from "./read-access.ts";
import { quote } from "./tree.ts";

/** What a statement is held against. */
export interface Rules {
  readonly policy: CallerPolicy;
  /** Of the database that the statement is for. */
  readonly catalogue: Catalogue;
}

/**
 * Holds what a statement touches against what its caller may touch. Gives nothing where that is all right, and
 * otherwise the error for the caller, which names what is not allowed and holds no value.
 */
export function judge(access: ReadAccess, { policy, catalogue }: Rules): HandlerError | undefined {
  if ("refused" in access) return notAllowed(access.refused);
  for (const name of access.functions) {
    if (!mayCall(name.replace(/^public\./, ""), policy)) {
      return notAllowed(`The function ${quote(name)} may not be called by this caller.`);
    }
  }
  for (const name of namesOfCalls(access, catalogue)) {
    if (!mayCall(name, policy)) return notAllowed(couldBeCall(name));
  }
  for (const [table, touched] of access.tables) {
    const rules = { policy: tablePolicy(table, policy), unclear: access.unclear };
    const sentence = judgeTable(table, touched, rules);
    if (sentence !== undefined) return notAllowed(sentence);
  }
  return undefined;
}

/** The same, of a registered statement by its name. */
export function judgeName(name: string, policy: CallerPolicy): HandlerError | undefined {
  if (policy.statements === "all" || policy.statements.has(name)) return undefined;
  return notAllowed(`The statement ${quote(name)} may not be used by this caller.`);
}

/** The same, of whether a statement's text may be sent at all. */
export function judgeText(policy: CallerPolicy): HandlerError | undefined {
  if (policy.sql) return undefined;
  return notAllowed("This caller may send registered statements by their names, and no SQL of its own.");
}

function mayCall(name: string, policy: CallerPolicy): boolean {
  return policy.functions.has(name) && !isNeverAllowed(name);
}

/** Names behind another name that are calls, or could be: a column that has the name of no function is one. */
function* namesOfCalls({ behind }: Access, { tables, rowFunctions }: Catalogue): Generator<string> {
  yield* behind.values;
  for (const name of behind.rows) if (rowFunctions.has(name)) yield name;
  for (const [table, names] of behind.tables) {
    const columns = tables.get(table);
    for (const name of names) if (rowFunctions.has(name) && columns?.has(name) !== true) yield name;
  }
}

function couldBeCall(name: string): string {
  return `${quote(name)} could be a call there, as x.f can be f(x), which this caller may not make: write the column's name alone, or list the columns in FROM, as in AS x(id, name).`;
}

export function notAllowed(message: string): HandlerError {
  return new HandlerError({ reason: "STATEMENT_NOT_ALLOWED", message });
}

const does: Readonly<Record<Verb, string>> = {
  select: "read from",
  insert: "insert into",
  update: "update or lock rows of",
  delete: "delete from",
};
const doesTo: Readonly<Record<Exclude<Verb, "delete">, string>> = {
  select: "read",
  insert: "insert",
  update: "update",
};

/** PostgreSQL looks into pg_catalog first, whatever the search_path says; all of its tables have such names. */
export function isCatalogName(table: string): boolean {
  return table.startsWith("pg_");
}

function tablePolicy(table: string, { tables }: CallerPolicy): TablePolicy | undefined {
  if (tables !== "all") return tables.get(table);
  return isCatalogName(table) ? undefined : everything;
}

const everything: TablePolicy = { select: "all", insert: "all", update: "all", delete: true };

function judgeTable(
  table: string,
  touched: TableAccess,
  rules: { readonly policy: TablePolicy | undefined; readonly unclear: ReadonlySet<string> },
): string | undefined {
  const { policy, unclear } = rules;
  if (policy === undefined) return `The table ${quote(table)} may not be used by this caller.`;
  if (touched.delete !== undefined && !policy.delete) return `${mayNot("delete", table)}.`;
  for (const verb of ["select", "insert", "update"] as const) {
    const columns = touched[verb];
    if (columns === undefined) continue;
    const allowed = policy[verb];
    if (allowed === undefined) return `${mayNot(verb, table)}.`;
    if (allowed === "all") continue;
    for (const column of columns) {
      if (allowed.has(column)) continue;
      if (column === ALL_COLUMNS) {
        return `This caller may not ${doesTo[verb]} every column of the table ${quote(table)}: name the columns.`;
      }
      const sentence = `This caller may not ${doesTo[verb]} the column ${quote(column)} of the table ${quote(table)}`;
      const isUnclear = verb === "select" && unclear.has(column);
      return isUnclear ? `${sentence}, which it could be: write it with its table.` : `${sentence}.`;
    }
  }
  return undefined;
}

function mayNot(verb: Verb, table: string): string {
  return `This caller may not ${does[verb]} the table ${quote(table)}`;
}
