import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { finish, partsOf } from "../../testing/interruptible.ts";
import { type ArrayParts, parsingArrayText, writingArrayText } from "./array-text.ts";

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
        expect(finish(parsingArrayText(finish(writingArrayText(array, delimiter)), delimiter))).toEqual(
          array,
        );
      }),
    );
  });

  it.each([
    ["elements", Array.from({ length: 50_000 }, (_, at) => (at % 3 === 0 ? null : `${at}`))],
    ["one long element", [`${'"\\'.repeat(50_000)}a"`]],
    ["arrays", Array.from({ length: 20_000 }, () => ["a", 'b"'])],
  ])("is read and written in parts where it has many: %s", (_, array) => {
    const writing = partsOf(writingArrayText(array, ","));
    const reading = partsOf(parsingArrayText(writing.value, ","));
    expect(reading.value).toEqual(array);
    expect(Math.min(writing.parts, reading.parts)).toBeGreaterThan(5);
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
    expect(finish(parsingArrayText(text, ","))).toEqual(expected);
  });

  it("is not taken apart where its lower bounds are not 1", () => {
    expect(finish(parsingArrayText("[0:1]={1,2}", ","))).toBeUndefined();
  });
});
