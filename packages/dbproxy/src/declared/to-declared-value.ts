import { create } from "@bufbuild/protobuf";
import { type Value, ValueListSchema } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { type DeclaredType, typeText } from "@tandem/statements";
import { checkText } from "../values/check-text.ts";
import { json } from "../values/json.ts";
import { isList } from "../values/list.ts";
import { fromBigint, numeric } from "../values/numbers.ts";
import { fromDate } from "../values/timestamps.ts";
import { TypedValue } from "../values/typed-value.ts";
import { valueOf } from "../values/value-of.ts";

type Kind = Value["kind"];

/**
 * A value for the wire, of the kind that the declared type has, complete: later changes of an array, a Date or bytes
 * don't count. `subject` begins the sentence of an error, which never shows the value.
 *
 * @throws TypeError for what can't be of the type
 * @throws RangeError for what is of the right type and out of bounds
 */
export function toDeclaredValue(value: unknown, type: DeclaredType, subject: string): Value {
  if (value === null) {
    if (type.nullable) return valueOf({ case: undefined });
    throw new TypeError(`${subject} is null, where ${typeText(type)} is declared.`);
  }
  return valueOf(type.list ? toList(value, type, subject) : toKind(value, type, subject));
}

// A declared array has one dimension, so that an array in one of json is plain data.
function toList(value: unknown, type: DeclaredType, subject: string): Kind {
  if (!isList(value)) throw mistaken(subject, type, "an array");
  const element = { ...type, list: false, nullable: true };
  const values = Array.from(value, (item) => toDeclaredValue(item, element, `An element of ${subject}`));
  return { case: "listValue", value: create(ValueListSchema, { values }) };
}

function toKind(value: unknown, type: DeclaredType, subject: string): Kind {
  switch (type.name) {
    case "bool":
      if (typeof value === "boolean") return { case: "boolValue", value };
      throw mistaken(subject, type, "a boolean");
    case "int2":
      return toInteger(value, { bits: 16, type, subject });
    case "int4":
      return toInteger(value, { bits: 32, type, subject });
    case "int8":
      return toInteger(value, { bits: 64, type, subject });
    case "float4":
    case "float8":
      if (typeof value === "number") return { case: "doubleValue", value };
      throw mistaken(subject, type, "a number");
    case "numeric":
      return toNumeric(value, type, subject);
    case "bytea":
      if (value instanceof Uint8Array) return { case: "bytesValue", value: new Uint8Array(value) };
      throw mistaken(subject, type, "a Uint8Array");
    case "timestamptz":
      if (value instanceof Date) return fromDate(value, subject);
      return toText(value, type, { subject, taken: "a Date, or a text that PostgreSQL reads as one" });
    case "json":
    case "jsonb":
      return toJson(value, type, subject);
    default:
      return toText(value, type, { subject, taken: "a string" });
  }
}

function toInteger(
  value: unknown,
  { bits, type, subject }: { readonly bits: number; readonly type: DeclaredType; readonly subject: string },
): Kind {
  const integer = typeof value === "number" ? exactly(value, type, subject) : value;
  if (typeof integer !== "bigint") throw mistaken(subject, type, "a bigint or a whole number");
  if (BigInt.asIntN(bits, integer) === integer) return fromBigint(integer, subject);
  throw new RangeError(`${subject} has more than ${bits} bits, which ${type.name} can't hold.`);
}

function toNumeric(value: unknown, type: DeclaredType, subject: string): Kind {
  const taken = 'a bigint, a whole number, or digits in a string, such as "-12.30"';
  if (value instanceof TypedValue) return kindOf(value, "numericValue", () => mistaken(subject, type, taken));
  const digits = typeof value === "number" ? exactly(value, type, subject) : value;
  if (typeof digits !== "bigint" && typeof digits !== "string") throw mistaken(subject, type, taken);
  try {
    return numeric(digits).kind();
  } catch {
    throw mistaken(subject, type, taken);
  }
}

/** A number as the integer that it is; one with a fraction, or so large, may be rounded already. */
function exactly(value: number, type: DeclaredType, subject: string): bigint {
  if (Number.isSafeInteger(value)) return BigInt(value);
  if (Number.isInteger(value)) {
    throw new RangeError(`${subject} is an integer beyond 2^53, where a number is not exact: use a bigint.`);
  }
  const instead = type.name === "numeric" ? ": write its digits in a string" : "";
  throw new TypeError(`${subject} is no whole number, where ${typeText(type)} is declared${instead}.`);
}

function toJson(value: unknown, type: DeclaredType, subject: string): Kind {
  if (value instanceof TypedValue) {
    return kindOf(value, "jsonValue", () => mistaken(subject, type, "plain data, or json(…)"));
  }
  try {
    return json(value).kind();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const Same = error instanceof RangeError ? RangeError : TypeError;
    throw new Same(`${subject} can't be written as JSON: ${error.message}`, { cause: error });
  }
}

function toText(
  value: unknown,
  type: DeclaredType,
  { subject, taken }: { readonly subject: string; readonly taken: string },
): Kind {
  if (typeof value !== "string") throw mistaken(subject, type, taken);
  return { case: "textValue", value: checkText(value, subject) };
}

function kindOf(value: TypedValue, wanted: Kind["case"], mistake: () => TypeError): Kind {
  const kind = value.kind();
  if (kind.case === wanted) return kind;
  throw mistake();
}

function mistaken(subject: string, type: DeclaredType, taken: string): TypeError {
  return new TypeError(`${subject} is declared as ${type.name}: it takes ${taken}.`);
}
