import { fieldsOf } from "@tandem/statements";
import { describe, expect, it } from "vitest";
import type { PgType } from "../values/kind.ts";
import { mismatchesOf, undeclaredOf } from "./mismatches.ts";

const int8: PgType = { name: "int8", kind: "int" };
const text: PgType = { name: "text", kind: "text" };
const texts: PgType = { name: "_text", kind: "list", element: text, delimiter: "," };
const declared = {
  params: fieldsOf({ id: "int8", tags: "text[] | null" }),
  columns: fieldsOf({ n: "int8", tags: "text[]" }),
};
const columns = [
  { name: "tags", type: texts },
  { name: "n", type: int8 },
];
const described = { params: [int8, texts], columns };

describe("what is held against a declaration", () => {
  it("may return more, which is named apart", () => {
    const more = { ...described, columns: [...columns, { name: "more", type: text }] };
    expect(mismatchesOf(declared, more)).toEqual([]);
    expect(undeclaredOf(declared, more)).toEqual(['it returns a column "more" (text) that isn\'t declared.']);
    expect(undeclaredOf(declared, described)).toEqual([]);
  });

  it("may have its columns in any order", () => {
    expect(mismatchesOf(declared, described)).toEqual([]);
  });

  it.each([
    ["too few parameters", { params: [int8] }, "it has 1 parameters, and 2 are declared: id, tags."],
    [
      "a parameter of another type",
      { params: [text, texts] },
      'its parameter "id" ($1) is declared as int8, and PostgreSQL takes text.',
    ],
    [
      "an element for an array",
      { params: [int8, text] },
      'its parameter "tags" ($2) is declared as text[], and PostgreSQL takes text.',
    ],
    [
      "a column of another type",
      { columns: [columns[0], { name: "n", type: texts }] },
      'its column "n" is declared as int8, and PostgreSQL gives text[].',
    ],
    [
      "a type of another schema that is only called so",
      { params: [{ name: "int8", kind: "text" }, texts] },
      'its parameter "id" ($1) is declared as int8, and PostgreSQL takes int8.',
    ],
    [
      "a column missing",
      { columns: [columns[1]] },
      'its column "tags" is declared and not there: it returns n.',
    ],
    ["two columns of a name", { columns: [...columns, columns[0]] }, 'it returns two columns "tags"'],
  ])("is named with what is declared and what was found: %s", (_, change, says) => {
    expect(mismatchesOf(declared, { ...described, ...change } as typeof described)).toEqual([
      expect.stringContaining(says),
    ]);
  });
});
