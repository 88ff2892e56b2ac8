import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { type Value, ValueSchema } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createProxyFixture, type ProxyFixture, step } from "../testing/proxy-fixture.ts";

type Kind = Value["kind"];

const int = (value: bigint): Kind => ({ case: "intValue", value });
const double = (value: number): Kind => ({ case: "doubleValue", value });
const text = (value: string): Kind => ({ case: "textValue", value });
const numeric = (value: string): Kind => ({ case: "numericValue", value });
const json = (value: string): Kind => ({ case: "jsonValue", value });
const bytes = (value: Uint8Array): Kind => ({ case: "bytesValue", value: Uint8Array.from(value) });
const time = (seconds: bigint, nanos: number): Kind => ({
  case: "timestampValue",
  value: create(TimestampSchema, { seconds, nanos }),
});
const none: Kind = { case: undefined };
const list = (...kinds: Kind[]): Kind => ({
  case: "listValue",
  value: {
    $typeName: "tandem.assistant.v1.ValueList",
    values: kinds.map((kind) => create(ValueSchema, { kind })),
  },
});

/** A type, and values of it that come back as they were sent. */
const roundTrips: readonly [type: string, ...kinds: Kind[]][] = [
  ["bool", { case: "boolValue", value: true }, { case: "boolValue", value: false }, none],
  ["int2", int(-32_768n), int(32_767n)],
  ["int4", int(-2_147_483_648n), int(2_147_483_647n)],
  ["int8", int(-(2n ** 63n)), int(2n ** 63n - 1n), int(0n)],
  ["float4", double(1.5), double(NaN)],
  [
    "float8",
    double(Number.MAX_VALUE),
    double(5e-324),
    double(-0),
    double(NaN),
    double(Infinity),
    double(-Infinity),
    double(0.1),
  ],
  [
    "numeric",
    numeric("1234567890123456789012345678901234567890"),
    numeric("0.0000000000000000000000000000000000000001"),
    numeric("NaN"),
    numeric("Infinity"),
    numeric("-Infinity"),
    numeric("12.30"),
  ],
  ["text", text(""), text('it\'s "quoted" \\ and $1; DROP TABLE x'), text("naïve 🦆 文字"), text("NULL")],
  ["varchar(10)", text("ten")],
  [
    "bytea",
    bytes(new Uint8Array()),
    bytes(Uint8Array.of(0, 255, 92, 39)),
    bytes(Buffer.alloc(1024 * 1024, 7)),
  ],
  [
    "timestamptz",
    time(0n, 0),
    time(1_767_323_045n, 678_901_000),
    time(-62_135_596_800n, 0),
    time(253_402_300_799n, 999_999_000),
    text("infinity"),
    text("-infinity"),
    text("10000-01-01 00:00:00+00"),
    text("0044-03-15 12:00:00+00 BC"),
  ],
  ["json", json('{"a": [1, "ü", null], "b":1.0}'), json("null")],
  ["jsonb", json('{"a": [1, "ü", null], "b": 1.0}'), json('"text"')],
  ["uuid", text("01980000-0000-7000-8000-000000000001")],
  ["date", text("2026-01-02"), text("infinity"), text("0044-03-15 BC")],
  ["time", text("12:34:56.789012")],
  ["timestamp", text("2026-01-02 03:04:05.678901")],
  ["interval", text("1 year 2 mons 3 days 04:05:06.789")],
  ["inet", text("192.168.0.1/24"), text("::1")],
  ["mood", text("it's fine")],
  ["positive", int(5n)],
  ["int4range", text("[1,5)")],
  ["int8[]", list(), list(int(1n), none, int(-(2n ** 63n)))],
  [
    "text[]",
    list(text("a,b"), text('"'), text("NULL"), none, text("\\")),
    list(list(text("a"), none), list(text("b"), text(""))),
  ],
  ["int4[]", list(list(list(int(1n), none)), list(list(int(3n), int(4n))))],
  ["bytea[]", list(bytes(Uint8Array.of(1, 2)), none)],
  ["timestamptz[]", list(time(0n, 1_000), text("infinity"))],
  ["jsonb[]", list(json('{"a": 1}'), none)],
  ["numeric[]", list(numeric("1.10"), numeric("NaN"))],
  ["bool[]", list({ case: "boolValue", value: true }, none)],
  ["mood[]", list(text("good"), none)],
  ["box[]", list(text("(1,1),(0,0)"), text("(2,2),(1,1)"))],
];

let proxy: ProxyFixture;
beforeAll(async () => {
  proxy = await createProxyFixture();
  await proxy.define(
    "CREATE TYPE mood AS ENUM ('good', 'it''s fine'); CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
  );
});
afterAll(() => proxy[Symbol.asyncDispose]());

/** Sends a value as a parameter, stores it, reads it back, and sends what came back once more. */
async function roundTrip(type: string, kind: Kind): Promise<readonly Kind[]> {
  const once = async (sent: Kind): Promise<Kind> => {
    const { results } = await proxy.transaction([step(`SELECT $1::${type}`, sent)]);
    return results[0]?.rows[0]?.values[0]?.kind ?? none;
  };
  const first = await once(kind);
  return [first, await once(first)];
}

describe("a value", () => {
  it.each(roundTrips)("comes back as it was sent, and again: %s", async (type: string, ...kinds: Kind[]) => {
    for (const kind of kinds) expect(await roundTrip(type, kind)).toEqual([kind, kind]);
  });

  it("of an array with other bounds than 1 comes back in PostgreSQL's own form", async () => {
    const { results } = await proxy.transaction([step("SELECT '[0:1]={1,2}'::int4[]")]);
    expect(results[0]?.rows[0]?.values[0]?.kind).toEqual(text("[0:1]={1,2}"));
  });

  it.each([
    ["int8", text("1"), "is a text, where PostgreSQL takes int8"],
    ["text", int(1n), "is an integer, where PostgreSQL takes text"],
    ["numeric", double(0.5), "is a double, where PostgreSQL takes numeric"],
    ["int8", double(1), "is a double, where PostgreSQL takes int8"],
    ["bytea", text("x"), "is a text, where PostgreSQL takes bytea"],
    ["jsonb", text("{}"), "is a text, where PostgreSQL takes jsonb"],
    ["bool", int(1n), "is an integer, where PostgreSQL takes bool"],
    ["timestamp", time(0n, 0), "is a point in time (timestamptz), where PostgreSQL takes timestamp"],
    ["int8[]", int(1n), "is an integer, where PostgreSQL takes _int8"],
    ["int8", list(int(1n)), "is a list, where PostgreSQL takes int8"],
    ["int8[]", list(text("1")), "is a text, where PostgreSQL takes int8"],
    [
      "int8[]",
      list(list(int(1n)), list(int(1n), int(2n))),
      "is a list whose parts differ in length or depth",
    ],
    ["int8[]", list(list(int(1n)), int(2n)), "is a list whose parts differ in length or depth"],
    ["timestamptz", time(0n, 1), "is finer than a microsecond, which PostgreSQL doesn't keep"],
    ["text", text("a\0b"), "holds a NUL, which PostgreSQL can't store"],
    ["text[]", list(text("a\0b")), "holds a NUL, which PostgreSQL can't store"],
  ])(
    "that can't be what PostgreSQL takes it for is refused, with the reason: %s",
    async (type, kind, description) => {
      await expect(proxy.transaction([step(`SELECT $1::${type}`, kind)])).rejects.toMatchObject({
        reason: "INVALID_REQUEST",
        step: 0,
        fields: [{ field: "steps[0].params[0]", description }],
      });
    },
  );

  it("of whatever content comes back as it was sent", async () => {
    const anyText = fc.string({ unit: "grapheme" }).map((value) => text(value.replaceAll("\0", "")));
    const row = fc.tuple(
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(int),
      fc.double().map(double),
      anyText,
      fc.uint8Array({ maxLength: 200 }).map(bytes),
      fc
        .tuple(
          fc.bigInt({ min: -62_135_596_800n, max: 253_402_300_799n }),
          fc.integer({ min: 0, max: 999_999 }),
        )
        .map(([seconds, micros]) => time(seconds, micros * 1_000)),
      fc
        .tuple(fc.bigInt(), fc.nat({ max: 999_999 }))
        .map(([whole, part]) => numeric(`${whole}.${String(part).padStart(6, "0")}`)),
      fc.jsonValue().map((value) => json(JSON.stringify(value).replaceAll("\\u0000", ""))),
      fc.array(fc.oneof(anyText, fc.constant(none))).map((kinds) => list(...kinds)),
    );
    const types = ["int8", "float8", "text", "bytea", "timestamptz", "numeric", "json", "text[]"];
    const statement = `SELECT ${types.map((type, index) => `$${index + 1}::${type}`).join(", ")}`;
    await fc.assert(
      fc.asyncProperty(row, async (kinds) => {
        const { results } = await proxy.transaction([step(statement, ...kinds)]);
        expect(results[0]?.rows[0]?.values.map(({ kind }) => kind)).toEqual(kinds);
      }),
      { numRuns: 200 },
    );
  });
});
