import { readColumn, readStar } from "./scope.ts";
import { assertType } from "./built-in-types.ts";
import {
  assertOnly,
  type Fields,
  fieldsOf,
  listOf,
  namesOf,
  nodeOf,
  notKnown,
  quote,
  Refusal,
  textOf,
  words,
} from "./tree.ts";
import type { Walk } from "./walk.ts";

/** Looks at an expression, or at a list of them, whole. A part that isn't known here is refused. */
export function readExpression(value: unknown, walk: Walk): void {
  if (value === undefined) return;
  if (Array.isArray(value)) return value.forEach((each) => readExpression(each, walk));
  walk.access.within(() => {
    const [kind, fields] = nodeOf(value);
    const reader = readers.get(kind);
    if (reader === undefined) throw notKnown(kind);
    reader(fields, walk);
  });
}

/** Looks at a WINDOW, or at what stands after OVER. */
export function readWindow(window: Fields, walk: Walk): void {
  assertOnly(
    "WindowDef",
    window,
    `
    name refname partitionClause orderClause frameOptions startOffset endOffset location`,
  );
  const { partitionClause, orderClause, startOffset, endOffset } = window;
  for (const part of [partitionClause, orderClause, startOffset, endOffset]) readExpression(part, walk);
}

export function readType(value: unknown, walk: Walk): void {
  const type = fieldsOf(value);
  assertOnly("TypeName", type, "names typmods typemod arrayBounds setof location");
  assertType(namesOf(type["names"]), listOf(type["typmods"]).map(wholeNumber));
  readExpression(type["typmods"], walk);
  readExpression(type["arrayBounds"], walk);
}

/** That of a constant. */
function wholeNumber(value: unknown): number | undefined {
  const [kind, { ival }] = nodeOf(value);
  // The tree leaves a zero out.
  if (kind !== "A_Const" || ival === undefined) return undefined;
  const number = fieldsOf(ival)["ival"] ?? 0;
  return typeof number === "number" ? number : undefined;
}

/** Of an element of an array or a document; `(row).column` would also call a function. */
export function readSubscripts(value: unknown, walk: Walk): void {
  for (const part of listOf(value)) {
    const [kind, fields] = nodeOf(part);
    if (kind !== "A_Indices") {
      throw new Refusal("A part of a row, as in (row).column, may not be used: write table.column.");
    }
    assertOnly(kind, fields, "is_slice lidx uidx");
    readExpression(fields["lidx"], walk);
    readExpression(fields["uidx"], walk);
  }
}

type Reader = (fields: Fields, walk: Walk) => void;

/** A node whose meaning is that of its parts: `plain` fields are words and numbers of the grammar. */
function partsOf(kind: string, parts: readonly string[], plain: readonly string[] = []): [string, Reader] {
  const known = [...parts, ...plain, "location"].join(" ");
  const reader: Reader = (fields, walk) => {
    assertOnly(kind, fields, known);
    for (const part of parts) readExpression(fields[part], walk);
  };
  return [kind, reader];
}

const readers: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ["A_Const", () => undefined],
  ["Integer", () => undefined],
  ["ParamRef", () => undefined],
  ["SetToDefault", () => undefined],
  ["ColumnRef", readColumnReference],
  ["A_Expr", readOperator],
  ["FuncCall", readCall],
  ["SQLValueFunction", readValueFunction],
  ["SubLink", readSubquery],
  ["TypeCast", readCast],
  ["CollateClause", readCollate],
  ["SortBy", readSort],
  ["A_Indirection", readIndirection],
  partsOf("List", ["items"]),
  partsOf("BoolExpr", ["args"], ["boolop"]),
  partsOf("NullTest", ["arg"], ["nulltesttype"]),
  partsOf("BooleanTest", ["arg"], ["booltesttype"]),
  partsOf("CaseExpr", ["arg", "args", "defresult"]),
  partsOf("CaseWhen", ["expr", "result"]),
  partsOf("CoalesceExpr", ["args"]),
  partsOf("MinMaxExpr", ["args"], ["op"]),
  partsOf("A_ArrayExpr", ["elements"], ["list_start", "list_end"]),
  partsOf("RowExpr", ["args"], ["row_format"]),
  partsOf("NamedArgExpr", ["arg"], ["name", "argnumber"]),
  partsOf("MultiAssignRef", ["source"], ["colno", "ncolumns"]),
  partsOf("GroupingSet", ["content"], ["kind"]),
  partsOf("GroupingFunc", ["args"]),
  partsOf("MergeSupportFunc", [], ["msftype"]),
  partsOf("JsonIsPredicate", ["expr"], ["format", "item_type", "unique_keys"]),
]);

function readColumnReference(fields: Fields, { scope, access }: Walk): void {
  assertOnly("ColumnRef", fields, "fields location");
  const parts = listOf(fields["fields"]);
  const [last] = nodeOf(parts.at(-1));
  if (last === "A_Star") readStar(namesOf(parts.slice(0, -1)), scope, access);
  else readColumn(namesOf(parts), scope, access);
}

function readOperator(fields: Fields, walk: Walk): void {
  assertOnly("A_Expr", fields, "kind name lexpr rexpr rexpr_list_start rexpr_list_end location");
  assertOperator(fields["name"]);
  readExpression(fields["lexpr"], walk);
  readExpression(fields["rexpr"], walk);
}

function assertOperator(value: unknown): void {
  if (namesOf(value).length > 1) {
    throw new Refusal("OPERATOR(…) may not be used: write the operator itself.");
  }
}

function readCall(fields: Fields, walk: Walk): void {
  assertOnly(
    "FuncCall",
    fields,
    `
    funcname args agg_order agg_filter over agg_within_group agg_star agg_distinct
    func_variadic funcformat location`,
  );
  const names = namesOf(fields["funcname"]);
  const [schema, name] = names.length === 1 ? ["public", names[0]] : names;
  if (name === undefined || names.length > 2 || (schema !== "public" && schema !== "pg_catalog")) {
    throw new Refusal(`The function ${quote(names.join("."))} may not be called.`);
  }
  // One of the database's owner can't be told from a built-in one of the same name: write it without public.
  walk.access.call(names.length === 2 && schema === "public" ? `public.${name}` : name);
  for (const part of ["args", "agg_order", "agg_filter"]) readExpression(fields[part], walk);
  if (fields["over"] !== undefined) readWindow(fieldsOf(fields["over"]), walk);
}

const clocks: ReadonlySet<string> = new Set(
  words(`
  CURRENT_DATE CURRENT_TIME CURRENT_TIME_N CURRENT_TIMESTAMP CURRENT_TIMESTAMP_N
  LOCALTIME LOCALTIME_N LOCALTIMESTAMP LOCALTIMESTAMP_N
  `),
);

/** The clock's are anybody's; the others, as CURRENT_USER, count as functions of their name. */
function readValueFunction(fields: Fields, { access }: Walk): void {
  const name = textOf(fields["op"]).replace("SVFOP_", "");
  if (!clocks.has(name)) access.call(name.toLowerCase());
}

function readSubquery(fields: Fields, walk: Walk): void {
  assertOnly("SubLink", fields, "subLinkType subLinkId testexpr operName subselect location");
  assertOperator(fields["operName"]);
  readExpression(fields["testexpr"], walk);
  walk.statement(fields["subselect"], walk);
}

function readCast(fields: Fields, walk: Walk): void {
  assertOnly("TypeCast", fields, "arg typeName location");
  readType(fields["typeName"], walk);
  readExpression(fields["arg"], walk);
}

function readCollate(fields: Fields, walk: Walk): void {
  assertOnly("CollateClause", fields, "arg collname location");
  assertCollation(fields["collname"]);
  readExpression(fields["arg"], walk);
}

export function assertCollation(value: unknown): void {
  const names = namesOf(value);
  if (names.length > 1 && names[0] !== "pg_catalog") {
    throw new Refusal(`The collation ${quote(names.join("."))} may not be used.`);
  }
}

function readSort(fields: Fields, walk: Walk): void {
  assertOnly("SortBy", fields, "node sortby_dir sortby_nulls useOp location");
  assertOperator(fields["useOp"]);
  readExpression(fields["node"], walk);
}

function readIndirection(fields: Fields, walk: Walk): void {
  assertOnly("A_Indirection", fields, "arg indirection");
  readExpression(fields["arg"], walk);
  readSubscripts(fields["indirection"], walk);
}
