import type { Value, ValueList } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import type { Interruptible } from "@tandem/rpc";
import { type ArrayParts, writingArrayText } from "./array-text.ts";
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
export function* encodingParam(value: Value, type: PgType): Interruptible<Bound> {
  if (value.kind.case !== "listValue") return encodeScalar(value, type);
  const { parts } = yield* encodingList(value.kind.value, type);
  return yield* writingArrayText(parts, type.delimiter ?? ",");
}

function encodeScalar(value: Value, type: PgType): Bound {
  const { kind } = value;
  if (kind.case === undefined) return null;
  if (type.kind === "list" || kind.case === "listValue" || !takenBy[type.kind].has(kind.case)) {
    throw mismatch(kind.case, type);
  }
  if (type.kind === "double" && kind.case === "intValue" && BigInt(Number(kind.value)) !== kind.value) {
    throw new ValueRefusedError(`is an integer that ${type.name} can't hold exactly`);
  }
  if (kind.case === "bytesValue") return Buffer.from(kind.value);
  return scalarText(value);
}

const SLICE_ELEMENTS = 1_024;

/** A list's elements as texts, and the lengths of its dimensions. */
function* encodingList(
  list: ValueList,
  type: PgType,
): Interruptible<{ readonly parts: ArrayParts; readonly shape: string }> {
  const { kind, element } = type;
  if (kind !== "list" || element === undefined) throw mismatch("listValue", type);
  const parts: (string | null | ArrayParts)[] = [];
  let inner: string | undefined;
  for (const value of list.values) {
    let shape = "";
    if (value.kind.case === "listValue") {
      const nested = yield* encodingList(value.kind.value, type);
      parts.push(nested.parts);
      shape = nested.shape;
    } else {
      const bound = encodeScalar(value, element);
      parts.push(Buffer.isBuffer(bound) ? `\\x${bound.toString("hex")}` : bound);
    }
    // PostgreSQL's arrays are boxes: what has another shape isn't one.
    inner ??= shape;
    if (shape !== inner) throw new ValueRefusedError("is a list whose parts differ in length or depth");
    if (inner.startsWith("0")) throw new ValueRefusedError("is a list of empty lists");
    if (parts.length % SLICE_ELEMENTS === 0) yield;
  }
  return { parts, shape: `${parts.length},${inner ?? ""}` };
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
