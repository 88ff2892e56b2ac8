import { create, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  ColumnSchema,
  QueryResponseSchema,
  RowSchema,
  type StepResult as ResultMessage,
  StepResultSchema,
  TransactionResponseSchema,
  type Value,
  ValueListSchema,
  ValueSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import type { BinaryWriter } from "@bufbuild/protobuf/wire";
import type { Interruptible } from "@tandem/rpc";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { finish, partsOf } from "../../testing/interruptible.ts";
import type { StepResult } from "../step-result.ts";
import { writingArrayText } from "../values/array-text.ts";
import { decodingValue } from "../values/decode-value.ts";
import type { PgType } from "../values/kind.ts";
import type { GivenValue } from "./given.ts";
import { SpareWriter } from "./spare-writer.ts";
import { writingQueryResponse, writingResults } from "./write-results.ts";

const spare = new SpareWriter();

interface Column {
  readonly type: PgType;
  readonly text: fc.Arbitrary<string>;
}

const anyText = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.constantFrom("", "x".repeat(33), "☂".repeat(50), "y".repeat(300)),
);
const int64 = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.constantFrom(0n, 1n, -1n, 2n ** 32n, 2n ** 32n - 1n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)),
);
const timestamp = fc
  .date({ min: new Date("0001-01-01T00:00:00Z"), max: new Date("9999-12-31T23:59:59Z"), noInvalidDate: true })
  .chain((date) =>
    fc
      .constantFrom("", ".5", ".000001", ".678901")
      .map((fraction) => `${date.toISOString().slice(0, 19).replace("T", " ")}${fraction}+00`),
  );
const scalars: readonly Column[] = [
  { type: { name: "bool", kind: "bool" }, text: fc.constantFrom("t", "f") },
  { type: { name: "int8", kind: "int" }, text: int64.map(String) },
  {
    type: { name: "float8", kind: "double" },
    text: fc.oneof(fc.double().map(String), fc.constantFrom("NaN", "Infinity", "-Infinity", "-0", "1e+308")),
  },
  { type: { name: "text", kind: "text" }, text: anyText },
  {
    type: { name: "bytea", kind: "bytes" },
    text: fc.uint8Array().map((bytes) => `\\x${Buffer.from(bytes).toString("hex")}`),
  },
  {
    type: { name: "timestamptz", kind: "timestamp" },
    text: fc.oneof(
      timestamp,
      fc.constantFrom(
        "infinity",
        "1970-01-01 00:00:00+00",
        "10000-01-01 00:00:00+00",
        "0044-03-15 12:00:00+00 BC",
      ),
    ),
  },
  {
    type: { name: "numeric", kind: "numeric" },
    text: fc.oneof(int64.map(String), fc.constantFrom("NaN", "1.50")),
  },
  { type: { name: "jsonb", kind: "json" }, text: fc.json() },
];
const lists: readonly Column[] = scalars.map(({ type: element, text }) => {
  const { list } = fc.letrec<{ list: readonly unknown[] }>((tie) => ({
    list: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.array(fc.option(text), { maxLength: 5 }),
      fc.array(tie("list"), { minLength: 1, maxLength: 3 }),
    ),
  }));
  return {
    type: { name: `_${element.name}`, kind: "list", element, delimiter: "," },
    text: fc.oneof(
      list.map((parts) => finish(writingArrayText(parts as Parameters<typeof writingArrayText>[0], ","))),
      fc.constantFrom("[0:1]={1,2}", "{}"),
    ),
  };
});

const result: fc.Arbitrary<StepResult> = fc
  .array(fc.tuple(fc.constantFrom(...scalars, ...lists), fc.constantFrom("", "id", "☂")), { maxLength: 6 })
  .chain((columns) =>
    fc.record({
      changes: fc.constantFrom(0n, 1n, 3n, 2n ** 32n, 2n ** 63n - 1n),
      columns: fc.constant(columns.map(([{ type }, name]) => ({ name, type }))),
      rows: fc.array(fc.tuple(...columns.map(([{ text }]) => fc.option(text))), { maxLength: 4 }),
    }),
  );

/** The same as a message, of the values that references to it have. */
function toMessage({ changes, columns, rows }: StepResult): ResultMessage {
  return create(StepResultSchema, {
    changes,
    columns: columns.map(({ name, type }) => ({ name, type: type.name })),
    rows: rows.map((row) => ({
      values: row.map((text, at) => toValue(finish(decodingValue(text, columns[at]?.type ?? never())))),
    })),
  });
}

function toValue(given: GivenValue): Value {
  if (given.case === undefined) return create(ValueSchema);
  const { case: kind, value } = given;
  if (kind !== "listValue") return create(ValueSchema, { kind: given as Value["kind"] });
  return create(ValueSchema, { kind: { case: kind, value: { values: value.map(toValue) } } });
}

function never(): never {
  throw new TypeError("a row has more values than there are columns");
}

it.each<[DescMessage, readonly string[]]>([
  [TransactionResponseSchema, ["results", "replayed", "committed_at", "write_token", "rows_omitted"]],
  [QueryResponseSchema, ["columns", "rows"]],
  [StepResultSchema, ["changes", "columns", "rows"]],
  [ColumnSchema, ["name", "type"]],
  [RowSchema, ["values"]],
  [ValueListSchema, ["values"]],
])("every field of %s is known to what writes it", (schema, fields) => {
  // A field that the contract gained is to be written as well, and then to be named here.
  expect(schema.fields.map(({ name }) => name)).toEqual(fields);
});

describe("the results of a transaction are written", () => {
  it("into the bytes that protobuf-es makes of them, whatever is in them", () => {
    const property = fc.property(fc.array(result, { maxLength: 4 }), (results) => {
      const messages = results.map(toMessage);
      const expected = toBinary(
        TransactionResponseSchema,
        create(TransactionResponseSchema, { results: messages }),
      );
      expectBytes((into) => writingResults(into, results), expected);
      const counts = messages.map(({ changes }) => create(StepResultSchema, { changes }));
      const counted = create(TransactionResponseSchema, { results: counts });
      expectBytes(
        (into) => writingResults(into, results, { withRows: false }),
        toBinary(TransactionResponseSchema, counted),
      );
    });
    fc.assert(property, { numRuns: 500 });
  });

  it("and those of a query, too", () => {
    const property = fc.property(result, (table) => {
      const { columns, rows } = toMessage(table);
      const expected = toBinary(QueryResponseSchema, create(QueryResponseSchema, { columns, rows }));
      expectBytes((into) => writingQueryResponse(into, table), expected);
    });
    fc.assert(property);
  });

  it.each<[string, string, number]>([
    ["many rows", "1", 20_000],
    ["long texts", "x".repeat(100_000), 20],
    ["long lists", `{${Array.from({ length: 5_000 }, () => "a").join()}}`, 2],
    ["a list of long texts", `{"${'\\"'.repeat(50_000)}"}`, 1],
  ])("in parts: %s", (_, text, count) => {
    const element: PgType = { name: "text", kind: "text" };
    const type: PgType = text.startsWith("{") ? { name: "_text", kind: "list", element } : element;
    const rows = Array.from({ length: count }, () => [text]);
    const large: StepResult = { changes: BigInt(count), columns: [{ name: "a", type }], rows };
    const { value, parts } = partsOf(spare.writing((into) => writingResults(into, [large])));
    expect(parts).toBeGreaterThan(2);
    expect(fromBinary(TransactionResponseSchema, value).results[0]?.rows).toHaveLength(count);
    expectBytes(
      (into) => writingResults(into, [large]),
      toBinary(TransactionResponseSchema, create(TransactionResponseSchema, { results: [toMessage(large)] })),
    );
  });
});

function expectBytes(write: (into: BinaryWriter) => Interruptible<void>, expected: Uint8Array): void {
  const bytes = finish(spare.writing(write));
  // Compared as a whole, which is quick, and shown only where they differ.
  if (Buffer.compare(bytes, expected) !== 0) expect(Buffer.from(bytes)).toEqual(Buffer.from(expected));
}
