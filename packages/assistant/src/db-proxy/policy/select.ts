import { readExpression, readWindow } from "./expressions.ts";
import { readFrom } from "./from.ts";
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
  Refusal,
  textOf,
} from "./tree.ts";
import { inScope, type Walk } from "./walk.ts";

/** Looks at a SELECT, VALUES or TABLE, alone or of a UNION. `locked`: FOR UPDATE around it takes its rows. */
export function readSelect(select: Fields, walk: Walk, locked: boolean): void {
  assertOnly(
    "SelectStmt",
    select,
    `
    distinctClause intoClause targetList fromClause whereClause groupClause groupDistinct
    havingClause windowClause valuesLists sortClause limitOffset limitCount limitOption
    lockingClause op all larg rarg`,
  );
  if (select["intoClause"] !== undefined) throw new Refusal("SELECT INTO makes a table: it may not be used.");
  if (select["op"] !== undefined && select["op"] !== "SETOP_NONE") {
    for (const side of ["larg", "rarg"]) walk.statement({ SelectStmt: select[side] }, walk, locked);
  }
  const relations: Relation[] = [];
  const own = inScope(walk, { relations, outer: walk.scope });
  readFrom(select["fromClause"], { walk: own, relations, isLocked: locksOf(select, locked) });
  for (const target of listOf(select["targetList"])) readTarget(target, own);
  for (const part of ["whereClause", "groupClause", "havingClause", "valuesLists"]) {
    readExpression(select[part], own);
  }
  for (const each of listOf(select["windowClause"])) {
    const [kind, window] = nodeOf(each);
    if (kind !== "WindowDef") throw notKnown(kind);
    readWindow(window, own);
  }
  readSorted(select, own);
  readExpression(select["limitOffset"], own);
  readExpression(select["limitCount"], own);
}

/** Looks at what a SELECT or a RETURNING gives back. */
export function readTarget(target: unknown, walk: Walk): void {
  readExpression(fieldsOfKind("ResTarget", target, "name val location")["val"], walk);
}

/** ORDER BY and DISTINCT ON: where a name alone is one of the result's, PostgreSQL takes it for that. */
function readSorted(select: Fields, walk: Walk): void {
  const results = new Set(listOf(select["targetList"]).map(resultName));
  const isResult = (value: unknown): boolean => {
    const name = nameAlone(value);
    return name !== undefined && results.has(name);
  };
  for (const each of listOf(select["sortClause"])) {
    const [kind, { node, ...sort }] = nodeOf(each);
    readExpression({ [kind]: isResult(node) ? sort : { ...sort, node } }, walk);
  }
  for (const each of listOf(select["distinctClause"])) {
    // A plain DISTINCT is a node without a kind.
    if (Object.keys(fieldsOf(each)).length > 0 && !isResult(each)) readExpression(each, walk);
  }
}

function resultName(target: unknown): string | undefined {
  const [, { name, val }] = nodeOf(target);
  return name === undefined ? columnName(val) : textOf(name);
}

/** The column's, of a reference to one. */
function columnName(value: unknown): string | undefined {
  const [kind, reference] = nodeOf(value);
  if (kind !== "ColumnRef") return undefined;
  assertOnly(kind, reference, "fields location");
  const [last, part] = nodeOf(listOf(reference["fields"]).at(-1));
  return last === "String" ? textOf(part["sval"]) : undefined;
}

function nameAlone(value: unknown): string | undefined {
  const [, { fields }] = nodeOf(value);
  return Array.isArray(fields) && fields.length === 1 ? columnName(value) : undefined;
}

function locksOf(select: Fields, locked: boolean): (name: string | undefined) => boolean {
  const clauses = listOf(select["lockingClause"]).map((each) => {
    const clause = fieldsOfKind("LockingClause", each, "lockedRels strength waitPolicy");
    return listOf(clause["lockedRels"]).map((relation) => {
      return textOf(fieldsOfKind("RangeVar", relation, "relname inh relpersistence location")["relname"]);
    });
  });
  // Without names it takes the rows of every table.
  if (locked || clauses.some((names) => names.length === 0)) return () => true;
  const names = new Set(clauses.flat());
  return (name) => name !== undefined && names.has(name);
}

/** Looks at a WITH; gives the walk of the statement behind it, which sees its names. */
export function readWith(value: unknown, walk: Walk): Walk {
  if (value === undefined) return walk;
  const clause = fieldsOf(value);
  assertOnly("WithClause", clause, "ctes recursive location");
  const queries = listOf(clause["ctes"]).map((each) => {
    const known = "ctename aliascolnames ctematerialized ctequery location";
    const fields = fieldsOfKind("CommonTableExpr", each, known);
    namesOf(fields["aliascolnames"]);
    return { name: textOf(fields["ctename"]), query: fields["ctequery"] };
  });
  const all = new Set([...walk.scope.ctes, ...queries.map(({ name }) => name)]);
  // Without RECURSIVE a query sees only those before it: its own name is still that of a table.
  const seen = new Set(clause["recursive"] === true ? all : walk.scope.ctes);
  for (const { name, query } of queries) {
    walk.statement(query, inScope(walk, { ctes: new Set(seen) }));
    seen.add(name);
  }
  return inScope(walk, { ctes: all });
}
