import { ALL_COLUMNS, type AccessCollector, assertNoSystemColumn } from "./access.ts";
import { quote, Refusal } from "./tree.ts";

/** What the names of a statement, or of a query within it, can mean. */
export interface Scope {
  /** Its own; they become more as its FROM is read. */
  readonly relations: readonly Relation[];
  /** That of the statement around it. */
  readonly outer: Scope | undefined;
  /** Names of WITH that are seen here, also those of statements around it. */
  readonly ctes: ReadonlySet<string>;
}

/** Something with columns. */
export interface Relation {
  /** What it is called here; undefined for a subquery without an alias. */
  readonly name: string | undefined;
  /** The table; undefined for a subquery or a function, whose parts are judged where they stand. */
  readonly table: string | undefined;
  /** Only reached by its name, as `excluded` is: its columns are neither seen alone nor meant by `*`. */
  readonly byNameOnly?: true;
  /**
   * Of a function that may give one value, for which the function's name here then stands: what is surely a column.
   * Every other name behind it would be a call, of a function or a cast, with that value.
   */
  readonly columns?: ReadonlySet<string>;
}

/**
 * Counts what a reference to a column can mean. PostgreSQL knows which tables have the column; here every one
 * that could have it counts, in this scope and around it, and also the tables that have the same name: so the
 * meaning that PostgreSQL finds is always among those that are counted.
 */
export function readColumn(parts: readonly string[], scope: Scope, access: AccessCollector): void {
  const [before, column = ""] = [parts.slice(0, -1), parts.at(-1)];
  assertNoSystemColumn(column);
  if (before.length === 0) return readAlone(column, scope, access);
  // Where what stands before it has no such column, PostgreSQL calls a function of that name with the row.
  for (const { table, columns } of named(before, scope)) {
    if (table !== undefined) access.behind(column, { table });
    else access.behind(column, columns === undefined || columns.has(column) ? "row" : "value");
  }
}

/** Counts `*`, or `table.*`. */
export function readStar(parts: readonly string[], scope: Scope, access: AccessCollector): void {
  if (parts.length > 0) {
    for (const { table } of named(parts, scope)) {
      if (table !== undefined) access.column(table, "select", ALL_COLUMNS);
    }
    return;
  }
  for (const { table, byNameOnly } of scope.relations) {
    if (table !== undefined && !byNameOnly) access.column(table, "select", ALL_COLUMNS);
  }
}

function readAlone(name: string, scope: Scope, access: AccessCollector): void {
  const tables = new Set<string>();
  for (const relation of visible(scope)) {
    if (relation.table === undefined) continue;
    // The name of a table stands for its whole row.
    if (relation.name === name) access.column(relation.table, "select", ALL_COLUMNS);
    if (!relation.byNameOnly) tables.add(relation.table);
  }
  for (const table of tables) access.column(table, "select", name);
  if (tables.size > 1) access.unclear(name);
}

/** Everything that a name, or one with a schema, can stand for. */
function named(parts: readonly string[], scope: Scope): readonly Relation[] {
  const [name = "", schema, ...more] = parts.toReversed();
  if (more.length > 0 || (schema !== undefined && schema !== "public")) {
    throw new Refusal(
      "A column is written as table.column: only tables of the schema public are known here.",
    );
  }
  const found = [...visible(scope)].filter((relation) => relation.name === name);
  if (found.length > 0) return found;
  throw new Refusal(`There is no table or alias ${quote(name)} where the statement uses it.`);
}

function* visible(scope: Scope): Generator<Relation> {
  for (let each: Scope | undefined = scope; each !== undefined; each = each.outer) yield* each.relations;
}
