import { describe, expect, expectTypeOf, it } from "vitest";
import { fieldsOf } from "./declared-types.ts";
import { type DeclaredStatement, defineStatement } from "./define-statement.ts";

const rename = defineStatement({
  name: "contacts.rename",
  params: { id: "uuid", displayName: "text | null", tags: "text[] | null" },
  sql: "UPDATE contacts SET display_name = $2, tags = $3 WHERE id = $1 RETURNING id, note",
  result: { id: "uuid", note: "text | null" },
});

describe("a declared statement", () => {
  it("is what was declared, its parameters in their order, and doesn't change", () => {
    expect(rename).toMatchObject({ name: "contacts.rename", result: { id: "uuid", note: "text | null" } });
    expect(fieldsOf(rename.params)).toEqual([
      { name: "id", type: { name: "uuid", list: false, nullable: false } },
      { name: "displayName", type: { name: "text", list: false, nullable: true } },
      { name: "tags", type: { name: "text", list: true, nullable: true } },
    ]);
    expect(() => Object.assign(rename, { sql: "" })).toThrow(TypeError);
    expect(() => Object.assign(rename.params, { id: "text" })).toThrow(TypeError);
  });

  it("needs neither parameters nor a result", () => {
    const purge = defineStatement({ name: "contacts.purge", sql: "DELETE FROM contacts" });
    expect(purge).toMatchObject({ params: {}, result: {} });
    expectTypeOf<keyof (typeof purge)["result"]>().toBeNever();
  });

  it("is known to the type checker by its very types", () => {
    expectTypeOf(rename.params.tags).toEqualTypeOf<"text[] | null">();
    expectTypeOf(rename).toExtend<DeclaredStatement>();
  });
});

describe("a declaration", () => {
  const params = { id: "uuid" };
  const valid = { name: "contacts.by_id", params, sql: "SELECT 1 WHERE id = $1" };

  it.each<{ what: string; change: object; says: string }>([
    { what: "a name without an area", change: { name: "rename" }, says: '"contacts.put"' },
    { what: "a name with capitals", change: { name: "contacts.byId" }, says: '"contacts.put"' },
    { what: "a name that is too long", change: { name: `a.${"b".repeat(99)}` }, says: "at most 100" },
    { what: "no name", change: { name: undefined }, says: "name" },
    { what: "no text", change: { sql: "  " }, says: "contacts.by_id: the sql" },
    { what: "a NUL in the text", change: { sql: "SELECT '\0', $1" }, says: "NUL" },
    { what: "$0", change: { sql: "SELECT $0, $1" }, says: "contacts.by_id: the text has $0" },
    { what: "a parameter that isn't used", change: { sql: "SELECT 1" }, says: 'no $1, which would be "id"' },
    {
      what: "a placeholder that isn't declared",
      change: { sql: "SELECT $1, $2" },
      says: "has $2, and 1 parameters are declared",
    },
    {
      what: "a parameter with a number for a name",
      change: { params: { 1: "uuid" } },
      says: 'parameter "1" needs a name',
    },
    {
      what: "a type as SQL calls it",
      change: { params: { id: "bigint" } },
      says: 'contacts.by_id: the type of the parameter "id", "bigint" is called int8 by PostgreSQL',
    },
    { what: "a type of two words", change: { params: { id: "double precision" } }, says: "float8" },
    { what: "an array of those", change: { params: { id: "integer[] | null" } }, says: "int4" },
    { what: "an array as the catalog calls it", change: { params: { id: "_text" } }, says: '"text[]"' },
    { what: "two dimensions", change: { params: { id: "text[][]" } }, says: "is no type" },
    { what: "a type with a length", change: { params: { id: "varchar(10)" } }, says: "is no type" },
    { what: "NULL said otherwise", change: { params: { id: "text|null" } }, says: "is no type" },
    { what: "no type", change: { params: { id: undefined } }, says: "is no type" },
    {
      what: "a column of no type",
      change: { result: { a: "" } },
      says: 'contacts.by_id: the type of the column "a", "" is no type',
    },
  ])("with $what is refused when it is made", ({ change, says }) => {
    const make = () => defineStatement({ ...valid, ...change });
    expect(make).toThrow(
      expect.objectContaining({ name: "TypeError", message: expect.stringContaining(says) }),
    );
  });

  it("is otherwise taken", () => {
    expect(defineStatement(valid)).toMatchObject(valid);
  });
});
