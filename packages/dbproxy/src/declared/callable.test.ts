import { inspect } from "node:util";
import { defineStatement } from "@tandem/statements";
import { describe, expect, it } from "vitest";
import { sql } from "../sql.ts";
import { Statement } from "../statement.ts";
import { sentSteps } from "../testing/wire.ts";
import { json } from "../values/json.ts";
import { double, numeric } from "../values/numbers.ts";
import { callable } from "./callable.ts";

const rename = callable(
  defineStatement({
    name: "contacts.rename",
    params: { id: "uuid", displayName: "text | null" },
    sql: "UPDATE contacts SET display_name = $2 WHERE id = $1 RETURNING id",
    result: { id: "uuid" },
  }),
);

/** A statement of one parameter that is declared as a type, for callers in plain JavaScript. */
function taking(type: string): (v: unknown) => Statement<object> {
  const call = callable(defineStatement({ name: "t.take", params: { v: type }, sql: "SELECT $1" }));
  return (v) => call({ v });
}

function kindOf(type: string, v: unknown): unknown {
  const [param] = taking(type)(v).params();
  return param !== undefined && "kind" in param ? param.kind : param;
}

describe("a declared statement that is called", () => {
  it("is sent by its name, with its values in the order of the declaration", () => {
    const statement = rename({ displayName: "Ada", id: "01980000-0000-7000-8000-000000000001" });
    expect(statement).toBeInstanceOf(Statement);
    expect(sentSteps([{ statement, guard: { min: 1 } }])).toMatchObject([
      {
        statement: { case: "name", value: "contacts.rename" },
        params: [
          { kind: { case: "value", value: { kind: { case: "textValue" } } } },
          { kind: { case: "value", value: { kind: { case: "textValue", value: "Ada" } } } },
        ],
        minChanges: 1n,
      },
    ]);
  });

  it("takes what an earlier statement returns, and can be referred to", () => {
    const first = rename({ id: "x", displayName: null });
    const second = rename({ id: first.ref("id"), displayName: sql`SELECT 1 AS a`.ref("a") });
    expect(() => sentSteps([first, second])).toThrow("refers to a statement that is no earlier step");
    expect(sentSteps([first, rename({ id: first.ref("id"), displayName: null })])[1]).toMatchObject({
      params: [{ kind: { case: "ref", value: { step: 0, row: 0, column: "id" } } }, {}],
    });
  });

  it("goes as text where that is asked for, and references to it stand", () => {
    const first = rename({ id: "x", displayName: null });
    const second = rename({ id: first.ref("id"), displayName: "y" });
    const steps = sentSteps([first, second].map((statement) => statement.asSql()));
    expect(steps).toMatchObject([
      { statement: { case: "sql", value: first.text }, params: [{}, {}] },
      { statement: { case: "sql" }, params: [{ kind: { case: "ref", value: { step: 0 } } }, {}] },
    ]);
    const again = first.asSql().asSql();
    expect(sentSteps([again, rename({ id: again.ref("id"), displayName: null })])).toHaveLength(2);
    expect(() => sentSteps([first, first.asSql()])).toThrow("same object");
    const written = sql`SELECT 1`;
    expect(written.asSql()).toBe(written);
  });

  it("shows its name and its text when it is logged, and never its values", () => {
    const logged = inspect(rename({ id: "s3cret", displayName: "s3cret" }), { depth: 9 });
    expect(logged).toContain("contacts.rename");
    expect(logged).toContain("UPDATE contacts");
    expect(logged).not.toContain("s3cret");
  });

  it.each<{ what: string; values: unknown; says: string }>([
    { what: "no values", values: undefined, says: "contacts.rename takes its parameters by name" },
    {
      what: "a parameter that is missing",
      values: { displayName: "a" },
      says: 'The parameter "id" of contacts.rename is missing.',
    },
    { what: "a missing one that may be null", values: { id: "a" }, says: "say null for SQL's NULL" },
    {
      what: "one too many",
      values: { id: "a", displayName: "b", name: "c" },
      says: 'contacts.rename has no parameter "name"; it has: id, displayName.',
    },
    {
      what: "null where it isn't declared",
      values: { id: null, displayName: "b" },
      says: 'The parameter "id" of contacts.rename is null, where uuid is declared.',
    },
    { what: "a statement for a value", values: { id: sql`SELECT 1`, displayName: null }, says: "a string" },
  ])("refuses $what before anything is sent", ({ values, says }) => {
    expect(() => rename(values as never)).toThrow(
      expect.objectContaining({ name: "TypeError", message: expect.stringContaining(says) }),
    );
  });
});

describe("a value is sent as the type that is declared", () => {
  const at = new Date("2026-01-02T03:04:05.678Z");
  it.each<[type: string, value: unknown, kind: object]>([
    ["bool", true, { case: "boolValue", value: true }],
    ["int2", -32_768, { case: "intValue", value: -32_768n }],
    ["int4", 7n, { case: "intValue", value: 7n }],
    ["int8", 7, { case: "intValue", value: 7n }],
    ["int8", -0, { case: "intValue", value: 0n }],
    ["int8", -(2n ** 63n), { case: "intValue", value: -(2n ** 63n) }],
    ["float8", 5, { case: "doubleValue", value: 5 }],
    ["float4", 0.1, { case: "doubleValue", value: 0.1 }],
    ["float8", Infinity, { case: "doubleValue", value: Infinity }],
    ["numeric", 5, { case: "numericValue", value: "5" }],
    ["numeric", 2n ** 70n, { case: "numericValue", value: String(2n ** 70n) }],
    ["numeric", "-12.30", { case: "numericValue", value: "-12.30" }],
    ["numeric", numeric("NaN"), { case: "numericValue", value: "NaN" }],
    ["bytea", Buffer.from("a"), { case: "bytesValue", value: Uint8Array.of(97) }],
    ["timestamptz", at, { case: "timestampValue" }],
    ["timestamptz", "infinity", { case: "textValue", value: "infinity" }],
    ["jsonb", { a: [1] }, { case: "jsonValue", value: '{"a":[1]}' }],
    ["json", "text", { case: "jsonValue", value: '"text"' }],
    ["jsonb", json(null), { case: "jsonValue", value: "null" }],
    ["jsonb | null", null, { case: undefined }],
    ["uuid", "x", { case: "textValue", value: "x" }],
    ["mood", "happy", { case: "textValue", value: "happy" }],
    [
      "int8[]",
      [1, null, 3n],
      {
        case: "listValue",
        value: { values: [{ kind: { value: 1n } }, { kind: { case: undefined } }, { kind: { value: 3n } }] },
      },
    ],
    [
      "jsonb[]",
      [[1, 2], { a: 1 }],
      {
        case: "listValue",
        value: { values: [{ kind: { value: "[1,2]" } }, { kind: { value: '{"a":1}' } }] },
      },
    ],
    ["text[]", [], { case: "listValue", value: { values: [] } }],
  ])("%s: %o", (type, value, kind) => {
    expect(kindOf(type, value)).toMatchObject(kind);
  });

  it("with everything that it holds at that moment", () => {
    const bytes = Uint8Array.of(1);
    const sent = kindOf("bytea", bytes);
    bytes[0] = 2;
    expect(sent).toMatchObject({ value: Uint8Array.of(1) });
  });

  it.each<[type: string, value: unknown, error: string, says: string]>([
    ["bool", 1, "TypeError", "a boolean"],
    ["int4", "1", "TypeError", "a bigint or a whole number"],
    ["int4", 1.5, "TypeError", "no whole number"],
    ["int8", NaN, "TypeError", "no whole number"],
    ["int8", 2 ** 53, "RangeError", "use a bigint"],
    ["int2", 32_768, "RangeError", "more than 16 bits"],
    ["int4", 2n ** 31n, "RangeError", "more than 32 bits"],
    ["int8", 2n ** 63n, "RangeError", "more than 64 bits"],
    ["float8", 1n, "TypeError", "a number"],
    ["numeric", 0.1, "TypeError", "write its digits in a string"],
    ["numeric", "1e3", "TypeError", "digits in a string"],
    ["numeric", double(1), "TypeError", "digits in a string"],
    ["bytea", "a", "TypeError", "a Uint8Array"],
    ["timestamptz", 5, "TypeError", "a Date"],
    ["timestamptz", new Date(NaN), "TypeError", "invalid Date"],
    ["jsonb", { a: 1n }, "TypeError", "bigint"],
    ["jsonb", [NaN], "RangeError", "NaN"],
    ["jsonb", numeric("1"), "TypeError", "json(…)"],
    ["uuid", 5, "TypeError", "a string"],
    ["date", new Date(), "TypeError", "a string"],
    ["text", "a\0", "RangeError", "NUL"],
    ["text[]", "a", "TypeError", "an array"],
    ["text[]", [["a"]], "TypeError", "An element of"],
    ["int2[]", [1, 70_000], "RangeError", "An element of"],
    ["text[]", [undefined], "TypeError", "a string"],
  ])("%s is not %o", (type, value, name, says) => {
    const message = expect.stringContaining(says);
    expect(() => taking(type)(value)).toThrow(expect.objectContaining({ name, message }));
    expect(() => taking(type)(value)).toThrow(/he parameter "v" of t\.take/);
  });
});
