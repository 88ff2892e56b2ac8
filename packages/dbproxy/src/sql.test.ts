import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { sql } from "./sql.ts";
import { sentSteps } from "./testing/wire.ts";

describe("the sql template", () => {
  it("gives a text with placeholders, and the values beside it", () => {
    const statement = sql`UPDATE t SET a = ${"x'; DROP TABLE t; --"} WHERE id = ANY(${[1]}) AND b = ${null}::text`;
    expect(statement.text).toBe("UPDATE t SET a = $1 WHERE id = ANY($2) AND b = $3::text");
    expect(sentSteps([statement])).toMatchObject([
      {
        statement: { case: "sql", value: statement.text },
        params: [
          { kind: { case: "value", value: { kind: { case: "textValue", value: "x'; DROP TABLE t; --" } } } },
          { kind: { case: "value", value: { kind: { case: "listValue" } } } },
          { kind: { case: "value", value: { kind: { case: undefined } } } },
        ],
      },
    ]);
  });

  it("counts on past nine", () => {
    const [a, b, c, d] = [1, 2, 3, 4];
    expect(sql`SELECT ${a}, ${b}, ${c}, ${d}, ${a}, ${b}, ${c}, ${d}, ${a}, ${b}`.text).toBe(
      "SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10",
    );
  });

  it("takes what JavaScript must see escaped for itself", () => {
    expect(sql`SELECT '\\d', \`, '\${', U&"d\\0061ta", a$1 FROM t`.text).toBe(
      "SELECT '\\d', `, '${', U&\"d\\0061ta\", a$1 FROM t",
    );
  });

  it.each<{ what: string; make: () => unknown; says: string }>([
    { what: "a backslash that would be lost", make: () => sql`SELECT '\d'`, says: "backslash" },
    { what: "an escape", make: () => sql`SELECT '\x41'`, says: "backslash" },
    { what: "an escape that is no JavaScript", make: () => sql`SELECT '\u'`, says: "backslash" },
    { what: "a placeholder of its own", make: () => sql`SELECT $1`, says: "$1 of its own" },
    { what: "a placeholder that hides", make: () => sql`SELECT ($2), ${1}`, says: "$1 of its own" },
    { what: "a digit behind a value", make: () => sql`SELECT ${1}1`, says: "$1 touches" },
    { what: "a word before a value", make: () => sql`SELECT a${1}`, says: "$1 touches" },
    { what: "a letter beyond ASCII before a value", make: () => sql`SELECT 1 AS ü${1}`, says: "$1 touches" },
    { what: "a dollar before a value", make: () => sql`SELECT $${1}`, says: "$1 touches" },
    { what: "values side by side", make: () => sql`SELECT ${1}${2}`, says: "$2 touches" },
    { what: "a value in quotes", make: () => sql`SELECT '${"x"}'`, says: "without quotes" },
    { what: "a name in quotes", make: () => sql`SELECT * FROM "${"x"}"`, says: "without quotes" },
    { what: "nothing", make: () => sql` `, says: "empty" },
    { what: "a statement inside", make: () => sql`SELECT ${sql`1` as never}`, says: "inside another" },
    { what: "undefined", make: () => sql`SELECT ${undefined as never}`, says: "$1 is undefined" },
    { what: "a call instead of a template", make: () => sql("SELECT 1" as never), says: "template" },
    { what: "a call with an array", make: () => sql(["SELECT 1"] as never), says: "template" },
  ])("refuses $what", ({ make, says }) => {
    expect(make).toThrow(
      expect.objectContaining({ name: "TypeError", message: expect.stringContaining(says) }),
    );
  });

  it("refuses a NUL in the text", () => {
    const template = Object.assign(["SELECT '\0'"], { raw: ["SELECT '\0'"] });
    expect(() => sql(template)).toThrow(RangeError);
  });

  it("makes statements that show their text and never their values when they are logged", () => {
    const first = sql`SELECT ${"s3cret"}, ${["s3cret"]}, ${Buffer.from("s3cret")}`;
    const second = sql`SELECT ${first.ref("a")}`;
    for (const logged of [inspect([first, second], { depth: 9 }), JSON.stringify([first, second])]) {
      expect(logged).toContain("SELECT $1");
      expect(logged).not.toContain("s3cret");
      expect(logged).not.toContain(Buffer.from("s3cret").toString("hex", 0, 2));
    }
  });
});
