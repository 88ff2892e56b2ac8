import type { Interruptible } from "@tandem/rpc";
import type { GivenValue } from "../wire/given.ts";
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

type List = Extract<GivenValue, { case: "listValue" }>;
type Scalar = Exclude<GivenValue, List>;

/**
 * Turns a value into what PostgreSQL binds to a parameter of this type. Fails with a ValueRefusedError whose
 * message never holds the value.
 */
export function encodeScalar(value: Scalar, type: PgType): Bound {
  if (value.case === undefined) return null;
  if (type.kind === "list" || !takenBy[type.kind].has(value.case)) throw mismatch(value.case, type);
  if (type.kind === "double" && value.case === "intValue" && BigInt(Number(value.value)) !== value.value) {
    throw new ValueRefusedError(`is an integer that ${type.name} can't hold exactly`);
  }
  if (value.case === "bytesValue") return Buffer.from(value.value);
  return scalarText(value);
}

/** The same, of a list. */
export function* encodingList(value: List, type: PgType): Interruptible<Bound> {
  const { parts } = yield* takingApart(value, type);
  return yield* writingArrayText(parts, type.delimiter ?? ",");
}

const SLICE_ELEMENTS = 1_024;

/** A list's elements as texts, and the lengths of its dimensions. */
function* takingApart(
  list: List,
  type: PgType,
): Interruptible<{ readonly parts: ArrayParts; readonly shape: string }> {
  const { kind, element } = type;
  if (kind !== "list" || element === undefined) throw mismatch("listValue", type);
  const parts: (string | null | ArrayParts)[] = [];
  let inner: string | undefined;
  for (const value of list.value) {
    let shape = "";
    if (value.case === "listValue") {
      const nested = yield* takingApart(value, type);
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

function scalarText(value: Exclude<Scalar, { case: "bytesValue" | undefined }>): string {
  switch (value.case) {
    case "boolValue":
      return value.value ? "t" : "f";
    case "intValue":
      return value.value.toString();
    case "doubleValue":
      return Object.is(value.value, -0) ? "-0" : String(value.value);
    case "timestampValue": {
      const timestamp = toTimestampText(value.value);
      if ("refused" in timestamp) throw new ValueRefusedError(timestamp.refused);
      return timestamp.text;
    }
    case "textValue":
    case "numericValue":
    case "jsonValue":
      if (value.value.includes("\0"))
        throw new ValueRefusedError("holds a NUL, which PostgreSQL can't store");
      return value.value;
  }
}

function mismatch(kind: string, type: PgType): ValueRefusedError {
  const given = kindNames[kind] ?? "a value";
  return new ValueRefusedError(`is ${given}, where PostgreSQL takes ${type.name}`);
}
