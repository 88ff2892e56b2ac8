import { expect, test } from "vitest";
import { quoteIdentifier, quoteLiteral } from "./quote.ts";

test("an identifier keeps quotes and capitals", () => {
  expect(quoteIdentifier('a"; DROP TABLE "b')).toBe('"a""; DROP TABLE ""b"');
});

test.each(["", "x".repeat(64), "ä".repeat(32), "a\0b"])(
  "refuses a name that PostgreSQL would change: %j",
  (name) => {
    expect(() => quoteIdentifier(name)).toThrow(RangeError);
  },
);

test("a literal keeps quotes and backslashes", () => {
  expect(quoteLiteral("it's")).toBe("'it''s'");
  expect(quoteLiteral("a\\' b")).toBe(" E'a\\\\'' b'");
  expect(() => quoteLiteral("a\0")).toThrow(RangeError);
});
