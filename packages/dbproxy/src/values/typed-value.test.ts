import { describe, expect, it } from "vitest";
import { sql } from "../sql.ts";
import { json } from "./json.ts";
import { double, numeric } from "./numbers.ts";

const statement = sql`SELECT 1`;

describe("a helper", () => {
  const holder: { self?: unknown } = {};
  holder.self = holder;

  it.each<{ what: string; make: () => unknown; error: string }>([
    { what: "numeric() of a word", make: () => numeric("s3cret"), error: "TypeError" },
    { what: "numeric() of nothing", make: () => numeric(""), error: "TypeError" },
    { what: "numeric() with an exponent", make: () => numeric("1e5"), error: "TypeError" },
    { what: "numeric() with a line break", make: () => numeric("1\n"), error: "TypeError" },
    { what: "numeric() of a number", make: () => numeric(0.1 as unknown as string), error: "TypeError" },
    { what: "double() of a text", make: () => double("5" as unknown as number), error: "TypeError" },
    { what: "json() of undefined", make: () => json(undefined), error: "TypeError" },
    { what: "json() of a function", make: () => json(() => 1), error: "TypeError" },
    { what: "json() of a circle", make: () => json(holder), error: "TypeError" },
    { what: "json() with a bigint inside", make: () => json({ s3cret: 1n }), error: "TypeError" },
    { what: "json() with a reference inside", make: () => json([statement.ref("id")]), error: "TypeError" },
    { what: "json() with a typed value inside", make: () => json({ a: numeric("1") }), error: "TypeError" },
    { what: "json() with NaN inside", make: () => json([NaN]), error: "RangeError" },
  ])("refuses, in a sentence: $what", ({ make, error }) => {
    expect(make).toThrow(expect.objectContaining({ name: error, message: expect.stringMatching(/\.$/) }));
    expect(make).not.toThrow(/s3cret/);
  });
});
