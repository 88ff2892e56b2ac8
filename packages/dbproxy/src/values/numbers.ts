import type { Value } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { TypedValue } from "./typed-value.ts";

export const MAX_INT64 = 2n ** 63n - 1n;
const MIN_INT64 = -(2n ** 63n);
const DECIMAL = /^(?:-?\d+(?:\.\d+)?|NaN|-?Infinity)$/;

/**
 * An exact decimal for a numeric column: digits such as `"-12.30"`, or `"NaN"`, `"Infinity"`, `"-Infinity"`,
 * or a bigint of any size. Trailing zeros are kept.
 *
 * @throws TypeError where it isn't one; a number is not taken, since it may be rounded already
 */
export function numeric(value: string | bigint): TypedValue {
  const digits = typeof value === "bigint" ? String(value) : value;
  if (typeof digits !== "string" || !DECIMAL.test(digits)) {
    throw new TypeError('numeric() takes decimal digits in a string, such as "-12.30", or a bigint.');
  }
  return new TypedValue({ case: "numericValue", value: digits });
}

/**
 * A number that travels as a double whatever it is: `double(5)`, `double(1e300)`.
 *
 * @throws TypeError where it isn't a number
 */
export function double(value: number): TypedValue {
  if (typeof value !== "number") throw new TypeError("double() takes a number.");
  return new TypedValue({ case: "doubleValue", value });
}

/**
 * An integer where that is exact, else a double.
 *
 * @throws RangeError for an integer so large that the number may not be the one that was meant
 */
export function fromNumber(value: number, subject: string): Value["kind"] {
  // -0 is no integer of PostgreSQL's.
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) return { case: "intValue", value: BigInt(value) };
  if (Number.isInteger(value) && value !== 0) {
    throw new RangeError(
      `${subject} is an integer beyond 2^53, where a number is not exact: use a bigint, or double().`,
    );
  }
  return { case: "doubleValue", value };
}

/** @throws RangeError beyond 64 bits */
export function fromBigint(value: bigint, subject: string): Value["kind"] {
  if (value < MIN_INT64 || value > MAX_INT64) {
    throw new RangeError(`${subject} has more than 64 bits: numeric() takes larger integers.`);
  }
  return { case: "intValue", value };
}
