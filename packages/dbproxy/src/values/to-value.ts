import type { Value } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { Reference, Statement } from "../statement.ts";
import { checkText } from "./check-text.ts";
import { fromList, isList } from "./list.ts";
import { fromBigint, fromNumber } from "./numbers.ts";
import { fromDate } from "./timestamps.ts";
import { TypedValue } from "./typed-value.ts";
import { valueOf } from "./value-of.ts";

/** What can be in an array that is sent. */
export type ListItem =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | Date
  | TypedValue
  | readonly ListItem[];

/** What can be sent as a parameter; the package's README has the table. */
export type SqlValue = ListItem;

/**
 * A value for the wire, complete: later changes of an array, a Date or bytes don't count. `subject` (`$1`)
 * begins the sentence of an error, which never shows the value.
 *
 * @throws TypeError for what can't be sent at all
 * @throws RangeError for what is of the right type and out of bounds
 */
export function toValue(value: SqlValue, subject: string): Value {
  return valueOf(toKind(value, subject));
}

// Callers in plain JavaScript can pass what the types exclude.
function toKind(value: unknown, subject: string): Value["kind"] {
  switch (typeof value) {
    case "boolean":
      return { case: "boolValue", value };
    case "bigint":
      return fromBigint(value, subject);
    case "number":
      return fromNumber(value, subject);
    case "string":
      return { case: "textValue", value: checkText(value, subject) };
    case "object":
      return fromObject(value, subject);
    case "undefined":
      throw new TypeError(`${subject} is undefined: say null for SQL's NULL.`);
    case "function":
    case "symbol":
      throw new TypeError(`${subject} is a ${typeof value}, which can't be sent.`);
  }
}

function fromObject(value: object | null, subject: string): Value["kind"] {
  if (value === null) return { case: undefined };
  if (value instanceof TypedValue) return value.kind();
  if (value instanceof Uint8Array) return { case: "bytesValue", value: new Uint8Array(value) };
  if (value instanceof Date) return fromDate(value, subject);
  if (isList(value)) {
    const toItem = (item: unknown): Value => valueOf(toKind(item, `An element of ${subject}`));
    return fromList(value, subject, toItem);
  }
  if (value instanceof Reference) {
    throw new TypeError(
      `${subject} is a reference: it stands alone for a parameter of a transaction's step.`,
    );
  }
  if (value instanceof Statement)
    throw new TypeError(`${subject} is a statement: it can't stand inside another.`);
  throw new TypeError(`${subject} is an object: json() sends it as JSON.`);
}
