import {
  createDbProxy,
  type DbProxy,
  double,
  json,
  numeric,
  sql,
  type SqlValue,
  type Statement,
} from "@tandem/dbproxy";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createPair, type Pair } from "./pair.ts";

let pair: Pair;
let db: DbProxy;
beforeAll(async () => {
  pair = await createPair();
  const assistant = await pair.startAssistant();
  await assistant.serving();
  db = createDbProxy({ address: await assistant.dbProxyAddress() });
});
afterAll(async () => {
  db.close();
  await pair[Symbol.asyncDispose]();
});

type Row = { v: unknown };
const instant = "2026-01-02T03:04:05.678901Z";

/** How a value is sent for a type, what comes back, and that what comes back can be sent again. */
const cases: readonly [
  type: string,
  make: (value: SqlValue) => Statement<Row>,
  sent: SqlValue,
  back: unknown,
  again?: SqlValue,
][] = [
  ["bool", (v) => sql<Row>`SELECT ${v}::bool AS v`, true, true],
  ["int4", (v) => sql<Row>`SELECT ${v}::int4 AS v`, 7, 7n],
  ["int8", (v) => sql<Row>`SELECT ${v}::int8 AS v`, -(2n ** 63n), -(2n ** 63n)],
  ["float8", (v) => sql<Row>`SELECT ${v}::float8 AS v`, double(5), 5],
  ["float8", (v) => sql<Row>`SELECT ${v}::float8 AS v`, NaN, NaN],
  [
    "numeric",
    (v) => sql<Row>`SELECT ${v}::numeric AS v`,
    numeric("1234567890123456789012345678901234567890.10"),
    "1234567890123456789012345678901234567890.10",
  ],
  ["text", (v) => sql<Row>`SELECT ${v}::text AS v`, "it's $1; \\ 🦆", "it's $1; \\ 🦆"],
  ["bytea", (v) => sql<Row>`SELECT ${v}::bytea AS v`, Uint8Array.of(0, 255), Uint8Array.of(0, 255)],
  ["timestamptz", (v) => sql<Row>`SELECT ${v}::timestamptz AS v`, instant, instant],
  [
    "timestamptz",
    (v) => sql<Row>`SELECT ${v}::timestamptz AS v`,
    new Date("2026-01-02T03:04:05.678Z"),
    "2026-01-02T03:04:05.678000Z",
  ],
  ["timestamptz", (v) => sql<Row>`SELECT ${v}::timestamptz AS v`, "infinity", "infinity"],
  [
    "jsonb",
    (v) => sql<Row>`SELECT ${v}::jsonb AS v`,
    json({ a: [1, null, "ü"] }),
    { a: [1, null, "ü"] },
    json({ a: [1, null, "ü"] }),
  ],
  [
    "uuid",
    (v) => sql<Row>`SELECT ${v}::uuid AS v`,
    "01980000-0000-7000-8000-000000000001",
    "01980000-0000-7000-8000-000000000001",
  ],
  ["interval", (v) => sql<Row>`SELECT ${v}::interval AS v`, "1 day 02:03:04", "1 day 02:03:04"],
  [
    "int8[]",
    (v) => sql<Row>`SELECT ${v}::int8[] AS v`,
    [
      [1n, null],
      [3n, 4n],
    ],
    [
      [1n, null],
      [3n, 4n],
    ],
  ],
  ["text[]", (v) => sql<Row>`SELECT ${v}::text[] AS v`, ["a,b", '"', null], ["a,b", '"', null]],
  ["NULL", (v) => sql<Row>`SELECT ${v}::int8 AS v`, null, null],
];

it.each(cases)(
  "%s goes through the client to PostgreSQL and comes back",
  async (_, make, sent, back, again) => {
    const first = (await db.query(make(sent))).rows[0]?.v;
    expect(first).toEqual(back);
    // What a client was given is what it may send.
    const second = again ?? (typeof first === "number" ? double(first) : (first as SqlValue));
    expect((await db.transaction([make(second)])).results[0].rows[0]?.v).toEqual(back);
  },
);
