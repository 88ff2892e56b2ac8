import { describe, expect, it } from "vitest";
import { sql } from "../sql.ts";
import { sent } from "../testing/wire.ts";
import { json } from "./json.ts";
import { double, numeric } from "./numbers.ts";
import { type SqlValue, toValue } from "./to-value.ts";

const statement = sql`SELECT 1`;
const circle: unknown[] = [];
circle.push(circle);

describe("a value", () => {
  it.each<{ what: string; value: SqlValue; kind: unknown }>([
    { what: "null as NULL", value: null, kind: { case: undefined } },
    { what: "a boolean", value: false, kind: { case: "boolValue", value: false } },
    { what: "the largest int64", value: 2n ** 63n - 1n, kind: { case: "intValue", value: 2n ** 63n - 1n } },
    { what: "the smallest int64", value: -(2n ** 63n), kind: { case: "intValue", value: -(2n ** 63n) } },
    { what: "an integer", value: 5, kind: { case: "intValue", value: 5n } },
    { what: "0 as an integer", value: 0, kind: { case: "intValue", value: 0n } },
    { what: "-0, which no integer is", value: -0, kind: { case: "doubleValue", value: -0 } },
    {
      what: "the largest safe integer",
      value: 2 ** 53 - 1,
      kind: { case: "intValue", value: 2n ** 53n - 1n },
    },
    { what: "a fraction", value: 0.1, kind: { case: "doubleValue", value: 0.1 } },
    { what: "NaN", value: NaN, kind: { case: "doubleValue", value: NaN } },
    { what: "an infinity", value: -Infinity, kind: { case: "doubleValue", value: -Infinity } },
    { what: "double(5) as a double", value: double(5), kind: { case: "doubleValue", value: 5 } },
    { what: "a text", value: "O'Neill 🦆", kind: { case: "textValue", value: "O'Neill 🦆" } },
    {
      what: "digits as a numeric",
      value: numeric("-12.30"),
      kind: { case: "numericValue", value: "-12.30" },
    },
    {
      what: "a large integer as a numeric",
      value: numeric(10n ** 39n),
      kind: { value: `1${"0".repeat(39)}` },
    },
    { what: "an infinite numeric", value: numeric("-Infinity"), kind: { value: "-Infinity" } },
    { what: "JSON", value: json({ a: [null, "ü"] }), kind: { case: "jsonValue", value: '{"a":[null,"ü"]}' } },
    { what: "JSON's null", value: json(null), kind: { case: "jsonValue", value: "null" } },
    {
      what: "bytes",
      value: Uint8Array.of(0, 255),
      kind: { case: "bytesValue", value: Uint8Array.of(0, 255) },
    },
    {
      what: "a Buffer's part",
      value: Buffer.from("abc").subarray(1),
      kind: { value: Uint8Array.of(98, 99) },
    },
    {
      what: "a Date before 1970",
      value: new Date(-1),
      kind: { case: "timestampValue", value: { seconds: -1n, nanos: 999_000_000 } },
    },
    {
      what: "the last Date of 9999",
      value: new Date("9999-12-31T23:59:59.999Z"),
      kind: { case: "timestampValue", value: { seconds: 253_402_300_799n, nanos: 999_000_000 } },
    },
    {
      what: "a Date after 9999 as PostgreSQL's text",
      value: new Date("+010000-01-02T03:04:05.006Z"),
      kind: { case: "textValue", value: "10000-01-02 03:04:05.006+00" },
    },
    {
      what: "a Date before Christ as PostgreSQL's text",
      value: new Date("-000043-03-15T12:00:00Z"),
      kind: { case: "textValue", value: "0044-03-15 12:00:00.000+00 BC" },
    },
    {
      what: "a Date of the year 0 as 1 BC",
      value: new Date("0000-12-31T23:59:59.999Z"),
      kind: { case: "textValue", value: "0001-12-31 23:59:59.999+00 BC" },
    },
    { what: "an empty list", value: [], kind: { case: "listValue", value: { values: [] } } },
    {
      what: "a list of lists, with a NULL",
      value: [
        [1, null],
        [2, numeric("3")],
      ],
      kind: {
        value: {
          values: [
            { kind: { value: { values: [{ kind: { value: 1n } }, { kind: { case: undefined } }] } } },
            { kind: { value: { values: [{ kind: { value: 2n } }, { kind: { case: "numericValue" } }] } } },
          ],
        },
      },
    },
    { what: "a list of six dimensions", value: [[[[[["x"]]]]]], kind: { case: "listValue" } },
  ])("travels: $what", ({ value, kind }) => {
    expect(sent(value)).toMatchObject({ kind });
  });

  it.each<{ what: string; value: unknown; error: string; says: string }>([
    { what: "undefined", value: undefined, error: "TypeError", says: "$1 is undefined" },
    { what: "a function", value: () => 1, error: "TypeError", says: "$1 is a function" },
    { what: "a symbol", value: Symbol("s3cret"), error: "TypeError", says: "$1 is a symbol" },
    { what: "an object", value: { s3cret: "s3cret" }, error: "TypeError", says: "json()" },
    {
      what: "what looks like a typed value",
      value: { kind: () => "s3cret" },
      error: "TypeError",
      says: "json()",
    },
    { what: "a statement", value: statement, error: "TypeError", says: "inside another" },
    { what: "a reference in a list", value: [statement.ref("id")], error: "TypeError", says: "stands alone" },
    { what: "an invalid Date", value: new Date("s3cret"), error: "TypeError", says: "$1 is an invalid Date" },
    { what: "65 bits", value: 2n ** 63n, error: "RangeError", says: "numeric()" },
    { what: "65 bits, negative", value: -(2n ** 63n) - 1n, error: "RangeError", says: "64 bits" },
    { what: "an unsafe integer", value: 2 ** 53, error: "RangeError", says: "bigint, or double()" },
    { what: "a NUL", value: "s3cret\0", error: "RangeError", says: "$1 has a NUL" },
    { what: "half a surrogate pair", value: "s3cret\ud800", error: "RangeError", says: "surrogate" },
    {
      what: "undefined in a list",
      value: [1, undefined],
      error: "TypeError",
      says: "element of $1 is undefined",
    },
    { what: "a list with a hole", value: Array(1), error: "TypeError", says: "element of $1 is undefined" },
    { what: "a NUL in a list", value: [["s3cret\0"]], error: "RangeError", says: "element of $1 has a NUL" },
    { what: "lists of different lengths", value: [[1], [1, 2]], error: "TypeError", says: "rectangular" },
    { what: "lists of different depths", value: [[1], 1], error: "TypeError", says: "rectangular" },
    { what: "a list beside NULL", value: [null, [1]], error: "TypeError", says: "rectangular" },
    { what: "a list deeper than its first", value: [[1], [[1]]], error: "TypeError", says: "rectangular" },
    { what: "an empty list in a list", value: [[], []], error: "TypeError", says: "empty array" },
    { what: "a list of seven dimensions", value: [[[[[[[1]]]]]]], error: "RangeError", says: "6 dimensions" },
    { what: "a list in itself", value: circle, error: "RangeError", says: "6 dimensions" },
  ])("is refused, unshown: $what", ({ value, error, says }) => {
    // What the types exclude can still be passed by a caller in plain JavaScript.
    const attempt = () => toValue(value as SqlValue, "$1");
    expect(attempt).toThrow(expect.objectContaining({ name: error, message: expect.stringContaining(says) }));
    expect(attempt).not.toThrow(/s3cret/);
  });

  it("is taken as it is at that moment", () => {
    const bytes = Buffer.from("a");
    const list = [bytes];
    const date = new Date(0);
    const values = [toValue(bytes, "$1"), toValue(list, "$1"), toValue(date, "$1")];
    bytes.write("b");
    list.push(bytes);
    date.setTime(1);
    expect(values).toMatchObject([
      { kind: { value: Uint8Array.of(97) } },
      { kind: { value: { values: [{ kind: { value: Uint8Array.of(97) } }] } } },
      { kind: { value: { seconds: 0n, nanos: 0 } } },
    ]);
  });
});
