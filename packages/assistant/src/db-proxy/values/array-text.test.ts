import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ArrayParts, parseArrayText, toArrayText } from "./array-text.ts";

const element = fc.option(
  fc.oneof(fc.string({ unit: "grapheme" }), fc.constantFrom("NULL", "{", "}", ",", '"', "\\", "")),
);
const parts: fc.Arbitrary<ArrayParts> = fc.letrec<{ parts: ArrayParts }>((tie) => ({
  parts: fc.oneof({ depthSize: "small" }, fc.array(element), fc.array(tie("parts"), { minLength: 1 })),
})).parts;

describe("an array's text", () => {
  it("comes apart into what it was put together from, whatever its elements hold", () => {
    fc.assert(
      fc.property(parts, fc.constantFrom(",", ";"), (array, delimiter) => {
        expect(parseArrayText(toArrayText(array, delimiter), delimiter)).toEqual(array);
      }),
    );
  });

  it.each([
    ["{}", []],
    ["{1,NULL,3}", ["1", null, "3"]],
    ['{"NULL","a,b","c\\"d","e\\\\f"}', ["NULL", "a,b", 'c"d', "e\\f"]],
    [
      "{{1,2},{3,4}}",
      [
        ["1", "2"],
        ["3", "4"],
      ],
    ],
  ])("is read as PostgreSQL writes it: %s", (text, expected) => {
    expect(parseArrayText(text, ",")).toEqual(expected);
  });

  it("is not taken apart where its lower bounds are not 1", () => {
    expect(parseArrayText("[0:1]={1,2}", ",")).toBeUndefined();
  });
});
