import { ALL_COLUMNS, type Verb } from "./access.ts";
import { assertCollation, readExpression, readSubscripts } from "./expressions.ts";
import { readFrom, toRelation } from "./from.ts";
import type { Relation } from "./scope.ts";
import { readTarget } from "./select.ts";
import { assertOnly, type Fields, fieldsOf, fieldsOfKind, listOf, notKnown, textOf } from "./tree.ts";
import { inScope, type Walk } from "./walk.ts";

export function readInsert(insert: Fields, walk: Walk): void {
  assertOnly(
    "InsertStmt",
    insert,
    `
    relation cols selectStmt onConflictClause returningClause override`,
  );
  const target = toRelation(fieldsOf(insert["relation"]));
  const own = inScope(walk, { relations: [target], outer: walk.scope });
  walk.access.touch(target.table, "insert");
  if (insert["selectStmt"] !== undefined) {
    walk.statement(insert["selectStmt"], walk);
    readInserted(insert["cols"], { target, walk: own });
  }
  if (insert["onConflictClause"] !== undefined) {
    readConflict(fieldsOf(insert["onConflictClause"]), { target, walk: own });
  }
  readReturning(insert["returningClause"], { target, walk: own });
}

export function readUpdate(update: Fields, walk: Walk): void {
  assertOnly("UpdateStmt", update, "relation targetList whereClause fromClause returningClause");
  const { target, walk: own } = readSources(update["relation"], update["fromClause"], walk);
  readAssigned(update["targetList"], { target, walk: own, verb: "update" });
  readExpression(update["whereClause"], own);
  readReturning(update["returningClause"], { target, walk: own });
}

export function readDelete(statement: Fields, walk: Walk): void {
  assertOnly("DeleteStmt", statement, "relation usingClause whereClause returningClause");
  const { target, walk: own } = readSources(statement["relation"], statement["usingClause"], walk);
  walk.access.touch(target.table, "delete");
  readExpression(statement["whereClause"], own);
  readReturning(statement["returningClause"], { target, walk: own });
}

export function readMerge(merge: Fields, walk: Walk): void {
  assertOnly(
    "MergeStmt",
    merge,
    `
    relation sourceRelation joinCondition mergeWhenClauses returningClause`,
  );
  const { target, walk: own } = readSources(merge["relation"], [merge["sourceRelation"]], walk);
  // Whether its rows are there is told by what it does, also where it changes nothing.
  walk.access.touch(target.table, "select");
  readExpression(merge["joinCondition"], own);
  for (const each of listOf(merge["mergeWhenClauses"])) {
    const known = "matchKind commandType override condition targetList values";
    const clause = fieldsOfKind("MergeWhenClause", each, known);
    readExpression(clause["condition"], own);
    readAction(clause, { target, walk: own });
  }
  readReturning(merge["returningClause"], { target, walk: own });
}

interface Written {
  readonly target: Relation & { readonly table: string };
  /** It sees the target. */
  readonly walk: Walk;
}

/** The target, and what stands in FROM or USING beside it: that doesn't see the target. */
function readSources(relation: unknown, from: unknown, walk: Walk): Written {
  const target = toRelation(fieldsOf(relation));
  const sources: Relation[] = [];
  const beside = inScope(walk, { relations: sources, outer: walk.scope });
  readFrom(from, { walk: beside, relations: sources, isLocked: () => false });
  return { target, walk: inScope(walk, { relations: [target, ...sources], outer: walk.scope }) };
}

function readAction(clause: Fields, written: Written): void {
  const { target, walk } = written;
  switch (clause["commandType"]) {
    case "CMD_UPDATE":
      return readAssigned(clause["targetList"], { ...written, verb: "update" });
    case "CMD_DELETE":
      return walk.access.touch(target.table, "delete");
    case "CMD_INSERT":
      walk.access.touch(target.table, "insert");
      if (clause["values"] !== undefined) readInserted(clause["targetList"], written);
      return readExpression(clause["values"], walk);
    case "CMD_NOTHING":
      return undefined;
    default:
      throw notKnown("MergeWhenClause");
  }
}

/** Without a list of columns it is all of them. */
function readInserted(columns: unknown, { target, walk }: Written): void {
  if (listOf(columns).length === 0) walk.access.column(target.table, "insert", ALL_COLUMNS);
  readAssigned(columns, { target, walk, verb: "insert" });
}

function readAssigned(columns: unknown, written: Written & { readonly verb: Verb }): void {
  const { target, walk, verb } = written;
  for (const each of listOf(columns)) {
    const column = fieldsOfKind("ResTarget", each, "name indirection val location");
    walk.access.column(target.table, verb, textOf(column["name"]));
    readSubscripts(column["indirection"], walk);
    readExpression(column["val"], walk);
  }
}

function readConflict(conflict: Fields, { target, walk }: Written): void {
  assertOnly("OnConflictClause", conflict, "action infer targetList whereClause location");
  const { table } = target;
  if (conflict["infer"] !== undefined) readInference(fieldsOf(conflict["infer"]), { target, walk });
  if (conflict["action"] === "ONCONFLICT_NOTHING") return;
  if (conflict["action"] !== "ONCONFLICT_UPDATE") throw notKnown("OnConflictClause");
  // PostgreSQL asks for the right to read a column of `excluded`, too: it may be one that a default gave.
  const excluded: Relation = { name: "excluded", table, byNameOnly: true };
  const own = inScope(walk, { relations: [...walk.scope.relations, excluded] });
  readAssigned(conflict["targetList"], { target, walk: own, verb: "update" });
  readExpression(conflict["whereClause"], own);
}

/** The unique columns of ON CONFLICT: that there is a row with them is told by what happens. */
function readInference(inference: Fields, { target, walk }: Written): void {
  assertOnly("InferClause", inference, "indexElems whereClause location");
  for (const each of listOf(inference["indexElems"])) {
    const known = "name expr collation ordering nulls_ordering location";
    const element = fieldsOfKind("IndexElem", each, known);
    if (element["name"] !== undefined) {
      walk.access.column(target.table, "select", textOf(element["name"]));
    }
    assertCollation(element["collation"]);
    readExpression(element["expr"], walk);
  }
  readExpression(inference["whereClause"], walk);
}

function readReturning(value: unknown, { target, walk }: Written): void {
  if (value === undefined) return;
  const returning = fieldsOf(value);
  assertOnly("ReturningClause", returning, "options exprs");
  const names = listOf(returning["options"]).map((each) => {
    return textOf(fieldsOfKind("ReturningOption", each, "option value location")["value"]);
  });
  // With other names for them they aren't called old and new, but that a column is read stays true.
  const rows = ["old", "new", ...names].map((name): Relation => ({
    name,
    table: target.table,
    byNameOnly: true,
  }));
  const own = inScope(walk, { relations: [...walk.scope.relations, ...rows] });
  for (const each of listOf(returning["exprs"])) readTarget(each, own);
}
