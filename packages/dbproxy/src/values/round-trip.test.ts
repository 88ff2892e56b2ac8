import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sentAndBack } from "../testing/wire.ts";
import { json } from "./json.ts";
import { double, numeric } from "./numbers.ts";
import type { ListItem } from "./to-value.ts";

interface Pair {
  readonly sent: ListItem;
  readonly back: unknown;
}

const text = fc.string({ unit: "binary" }).filter((value) => !value.includes("\0"));
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const digits = fc.stringMatching(/^-?[0-9]{1,40}(\.[0-9]{1,40})?$/);
const plainJson = fc.jsonValue({ stringUnit: "binary" }).map((value) => fromJson(JSON.stringify(value)));

/** What is sent, and what comes back of it. */
const scalar: fc.Arbitrary<Pair> = fc.oneof(
  same(fc.constant(null)),
  same(fc.boolean()),
  same(int64),
  fc.maxSafeInteger().map((value) => ({ sent: value, back: BigInt(value) })),
  fc.double().map((value) => ({ sent: double(value), back: value })),
  same(text),
  same(fc.uint8Array()),
  fc.oneof(digits, fc.constantFrom("NaN", "Infinity", "-Infinity")).map((value) => ({
    sent: numeric(value),
    back: value,
  })),
  plainJson.map((value) => ({ sent: json(value), back: value })),
);

describe("a value that is sent and given back", () => {
  it("is the same, whatever it is", () => {
    fc.assert(
      fc.property(scalar, ({ sent, back }) => {
        expect(sentAndBack(sent)).toEqual(back);
      }),
      { numRuns: 2_000 },
    );
  });

  it("is the same in a list of any dimensions", () => {
    const shape = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 6 });
    const property = fc.property(
      shape,
      fc.array(scalar, { minLength: 1, maxLength: 8 }),
      (lengths, pairs) => {
        expect(
          sentAndBack(
            box(
              lengths,
              pairs.map(({ sent }) => sent),
            ),
          ),
        ).toEqual(
          box(
            lengths,
            pairs.map(({ back }) => back),
          ),
        );
      },
    );
    fc.assert(property);
  });

  it("is the same instant where it is a Date, and as text sent again the same text", () => {
    const years1To9999 = fc.date({
      min: new Date("0001-01-01T00:00:00Z"),
      max: new Date("9999-12-31T23:59:59.999Z"),
      noInvalidDate: true,
    });
    const property = fc.property(years1To9999, (date) => {
      const back = sentAndBack(date);
      expect(back).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
      expect(new Date(String(back))).toEqual(date);
      expect(sentAndBack(String(back))).toBe(back);
    });
    fc.assert(property, { numRuns: 1_000 });
  });

  it("is never another number: what a number can't say exactly is refused", () => {
    const property = fc.property(fc.double(), (value) => {
      if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
        expect(() => sentAndBack(value)).toThrow(RangeError);
      } else {
        expect(Number(sentAndBack(value))).toBe(value);
      }
    });
    fc.assert(property, { numRuns: 1_000 });
  });
});

// -0, which JSON does not have, is 0 from here on.
function fromJson(written: string): unknown {
  return JSON.parse(written);
}

function same<T extends ListItem>(values: fc.Arbitrary<T>): fc.Arbitrary<Pair> {
  return values.map((value) => ({ sent: value, back: value }));
}

/** A list of these lengths by depth, filled with the items over and over. */
function box<T>(lengths: readonly number[], items: readonly T[]): (T | readonly T[])[] {
  let next = 0;
  const fill = (depth: number): (T | readonly T[])[] =>
    Array.from({ length: lengths[depth] ?? 0 }, () => {
      if (depth + 1 < lengths.length) return fill(depth + 1) as readonly T[];
      next += 1;
      return items[(next - 1) % items.length]!;
    });
  return fill(0);
}
