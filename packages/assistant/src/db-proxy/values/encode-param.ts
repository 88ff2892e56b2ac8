import type { Value, ValueList } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { type ArrayParts, toArrayText } from "./array-text.ts";
import type { PgType, ScalarKind } from "./kind.ts";
import { toTimestampText } from "./timestamp-text.ts";

/** What goes out as a bind value: bytes in binary form, everything else as text. */
export type Bound = string | Buffer | null;

/** A value that can't be what PostgreSQL takes the parameter for. */
export class ValueRefusedError extends Error {
  override readonly name = "ValueRefusedError";
}

// Which kinds of values a type of a kind takes. Text stands for what clients without a type for it hold as
// text; where PostgreSQL could read a text as something else than was meant, it isn't taken.
const takenBy: Readonly<Record<ScalarKind, ReadonlySet<string>>> = {
  bool: new Set(["boolValue"]),
  int: new Set(["intValue"]),
  double: new Set(["doubleValue", "intValue"]),
  text: new Set(["textValue"]),
  bytes: new Set(["bytesValue"]),
  timestamp: new Set(["timestampValue", "textValue"]),
  numeric: new Set(["numericValue", "intValue", "textValue"]),
  json: new Set(["jsonValue"]),
};

const kindNames: Readonly<Record<string, string>> = {
  boolValue: "a bool",
  intValue: "an integer",
  doubleValue: "a double",
  textValue: "a text",
  bytesValue: "bytes",
  timestampValue: "a point in time (timestamptz)",
  numericValue: "a numeric",
  jsonValue: "JSON",
  listValue: "a list",
};

/**
 * Turns a value into what PostgreSQL binds to a parameter of this type. Fails with a ValueRefusedError whose
 * message never holds the value.
 */
export function encodeParam(value: Value, type: PgType): Bound {
  const { kind } = value;
  if (kind.case === undefined) return null;
  if (kind.case === "listValue") return encodeList(kind.value, type);
  if (type.kind === "list") throw mismatch(kind.case, type);
  if (!takenBy[type.kind].has(kind.case)) throw mismatch(kind.case, type);
  if (type.kind === "double" && kind.case === "intValue" && BigInt(Number(kind.value)) !== kind.value) {
    throw new ValueRefusedError(`is an integer that ${type.name} can't hold exactly`);
  }
  if (kind.case === "bytesValue") return Buffer.from(kind.value);
  return scalarText(value);
}

function encodeList(list: ValueList, type: PgType): string {
  if (type.kind !== "list") throw mismatch("listValue", type);
  shapeOf(list);
  return toArrayText(partsOf(list, type), type.delimiter ?? ",");
}

function partsOf(list: ValueList, type: PgType): ArrayParts {
  const element = type.element;
  if (element === undefined) throw mismatch("listValue", type);
  return list.values.map((value) => {
    if (value.kind.case === "listValue") return partsOf(value.kind.value, type);
    const bound = encodeParam(value, element);
    return Buffer.isBuffer(bound) ? `\\x${bound.toString("hex")}` : bound;
  });
}

/** The lengths of a list's dimensions. PostgreSQL's arrays are boxes: what has another shape isn't one. */
function shapeOf(list: ValueList): string {
  const shapes = new Set(
    list.values.map(({ kind }) => (kind.case === "listValue" ? shapeOf(kind.value) : "")),
  );
  if (shapes.size > 1) throw new ValueRefusedError("is a list whose parts differ in length or depth");
  const [inner = ""] = shapes;
  if (inner.startsWith("0")) throw new ValueRefusedError("is a list of empty lists");
  return `${list.values.length},${inner}`;
}

function scalarText({ kind }: Value): string {
  switch (kind.case) {
    case "boolValue":
      return kind.value ? "t" : "f";
    case "intValue":
      return kind.value.toString();
    case "doubleValue":
      return Object.is(kind.value, -0) ? "-0" : String(kind.value);
    case "timestampValue": {
      const timestamp = toTimestampText(kind.value);
      if ("refused" in timestamp) throw new ValueRefusedError(timestamp.refused);
      return timestamp.text;
    }
    case "textValue":
    case "numericValue":
    case "jsonValue":
      if (kind.value.includes("\0")) throw new ValueRefusedError("holds a NUL, which PostgreSQL can't store");
      return kind.value;
    case "bytesValue":
    case "listValue":
    case undefined:
      throw new ValueRefusedError("has no kind that a parameter can have");
  }
}

function mismatch(kind: string, type: PgType): ValueRefusedError {
  const given = kindNames[kind] ?? "a value";
  return new ValueRefusedError(`is ${given}, where PostgreSQL takes ${type.name}`);
}
