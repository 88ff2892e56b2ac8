import { builtInFunctions, resultColumns } from "./built-in-functions.ts";
import { readExpression, readType, assertCollation } from "./expressions.ts";
import type { Relation } from "./scope.ts";
import {
  assertOnly,
  type Fields,
  fieldsOf,
  fieldsOfKind,
  listOf,
  namesOf,
  nodeOf,
  notKnown,
  quote,
  Refusal,
  textOf,
} from "./tree.ts";
import { inScope, type Walk } from "./walk.ts";

/** The FROM of a statement that is being read. */
export interface From {
  /** Its scope is that of the statement, with the relations as far as they have been read. */
  readonly walk: Walk;
  readonly relations: Relation[];
  /** Whether FOR UPDATE or the like takes the rows of what has that name here. */
  readonly isLocked: (name: string | undefined) => boolean;
}

/** Looks at FROM, USING or the source of a MERGE; adds what stands there to the relations. */
export function readFrom(value: unknown, from: From): void {
  for (const item of listOf(value)) readItem(item, from);
}

/** A table under its own name or its alias; one that can't be reached is refused. */
export function toRelation(table: Fields): Relation & { readonly table: string } {
  assertTable(table);
  const [schema, name] = [textOf(table["schemaname"]), textOf(table["relname"])];
  if (table["catalogname"] !== undefined || (schema !== "" && schema !== "public")) {
    throw new Refusal(
      `The table ${quote(`${schema}.${name}`)} may not be used: it is not of the schema public.`,
    );
  }
  const alias = readAlias(table["alias"]);
  if (alias !== undefined && alias.columns.length > 0) {
    throw new Refusal("A table's alias may not give its columns other names: leave the list out.");
  }
  return { name: alias?.name ?? name, table: name };
}

function assertTable(table: Fields): void {
  assertOnly("RangeVar", table, "catalogname schemaname relname inh relpersistence alias location");
}

function readItem(item: unknown, from: From): void {
  const [kind, fields] = nodeOf(item);
  const reader = readers.get(kind);
  if (reader === undefined) throw notKnown(kind);
  from.walk.access.within(() => reader(fields, from));
}

const readers: ReadonlyMap<string, (fields: Fields, from: From) => void> = new Map([
  ["RangeVar", readTable],
  ["RangeSubselect", readSubselect],
  ["RangeFunction", readFunction],
  ["JoinExpr", readJoin],
]);

function readTable(fields: Fields, { walk, relations, isLocked }: From): void {
  const name = textOf(fields["relname"]);
  if (fields["schemaname"] === undefined && walk.scope.ctes.has(name)) {
    assertTable(fields);
    relations.push({ name: readAlias(fields["alias"])?.name ?? name, table: undefined });
    return;
  }
  const relation = toRelation(fields);
  walk.access.touch(relation.table, "select");
  if (isLocked(relation.name)) walk.access.touch(relation.table, "update");
  relations.push(relation);
}

function readSubselect(fields: Fields, { walk, relations, isLocked }: From): void {
  assertOnly("RangeSubselect", fields, "lateral subquery alias");
  const name = readAlias(fields["alias"])?.name;
  // Without LATERAL it sees nothing of what stands beside it.
  const seen = fields["lateral"] === true ? walk : inScope(walk, { relations: [] });
  walk.statement(fields["subquery"], seen, isLocked(name));
  relations.push({ name, table: undefined });
}

function readFunction(fields: Fields, { walk, relations }: From): void {
  assertOnly("RangeFunction", fields, "lateral ordinality is_rowsfrom functions alias coldeflist");
  const calls = listOf(fields["functions"]).map((each) => {
    const [call, columns, ...more] = listOf(fieldsOfKind("List", each, "items")["items"]);
    if (more.length > 0) throw notKnown("RangeFunction");
    readExpression(call, walk);
    // A node without a kind stands for no list.
    const hasColumns = Object.keys(fieldsOf(columns)).length > 0;
    if (hasColumns) readColumns(fieldsOfKind("List", columns, "items")["items"], walk);
    return { call, hasColumns };
  });
  readColumns(fields["coldeflist"], walk);
  const [first, second] = calls;
  if (first === undefined) throw notKnown("RangeFunction");
  const called = namesOf(nodeOf(first.call)[1]["funcname"]).at(-1);
  const { name = called, columns: given = [] } = readAlias(fields["alias"]) ?? {};
  // What several functions give together, or with a number, or by a list of columns, is a row.
  const isRow = second !== undefined || fields["ordinality"] === true || first.hasColumns;
  if (isRow || fields["coldeflist"] !== undefined) relations.push({ name, table: undefined });
  else {
    const columns = given.length > 0 ? given : columnsOf(first.call, name);
    relations.push({ name, table: undefined, columns: new Set(columns) });
  }
}

/** Those that it surely has where the alias doesn't name them, or where it gives a row. */
function columnsOf(call: unknown, name: string | undefined): readonly string[] {
  const own = name === undefined ? [] : [name];
  const [kind, { funcname }] = nodeOf(call);
  if (kind !== "FuncCall") return own;
  const [called = "", schema = "pg_catalog"] = namesOf(funcname).toReversed();
  // One of the database's owner may name its result as it likes.
  if (schema !== "pg_catalog" || !builtInFunctions.has(called)) return [];
  return resultColumns.get(called) ?? own;
}

/** The columns of a function that returns records. */
function readColumns(value: unknown, walk: Walk): void {
  for (const each of listOf(value)) {
    const fields = fieldsOfKind("ColumnDef", each, "colname typeName is_local collClause location");
    readType(fields["typeName"], walk);
    if (fields["collClause"] !== undefined) assertCollation(fieldsOf(fields["collClause"])["collname"]);
  }
}

function readJoin(fields: Fields, from: From): void {
  assertOnly(
    "JoinExpr",
    fields,
    `
    jointype isNatural larg rarg usingClause join_using_alias quals alias rtindex`,
  );
  if (fields["isNatural"] === true) {
    throw new Refusal("NATURAL may not be used: write the columns, as in JOIN … USING (…).");
  }
  if (fields["alias"] !== undefined || fields["join_using_alias"] !== undefined) {
    throw new Refusal("A join may not have an alias: give its tables one.");
  }
  const { walk, relations } = from;
  const before = relations.length;
  readItem(fields["larg"], from);
  readItem(fields["rarg"], from);
  const joined = new Set(relations.slice(before).flatMap(({ table }) => table ?? []));
  for (const column of namesOf(fields["usingClause"])) {
    for (const table of joined) walk.access.column(table, "select", column);
  }
  readExpression(fields["quals"], walk);
}

function readAlias(
  value: unknown,
): { readonly name: string; readonly columns: readonly string[] } | undefined {
  if (value === undefined) return undefined;
  const { aliasname, colnames } = fieldsOf(value);
  return { name: textOf(aliasname), columns: namesOf(colnames) };
}
