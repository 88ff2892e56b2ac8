import { InvalidArgumentError } from "commander";
import { expect, it } from "vitest";
import { checked, futureTime, wholeNumber } from "./arguments.ts";

it.each(["", "0", "11", "1.5", "-1", "ten", "1e1"])("refuses %j as a whole number from 1 to 10", (text) => {
  expect(() => wholeNumber({ min: 1, max: 10 })(text)).toThrow(InvalidArgumentError);
});

it("takes whole numbers, the limits included", () => {
  expect(["1", "10"].map(wholeNumber({ min: 1, max: 10 }))).toEqual([1, 10]);
});

it.each([
  "2999-01-01",
  "2999-02-30T00:00:00Z",
  "2999-01-01T00:00:00",
  "2999-01-01T00:00:00+01:00",
  "tomorrow",
])("refuses %j as a time", (text) => {
  expect(() => futureTime(text)).toThrow("It must be a time like 2027-01-01T00:00:00Z.");
});

it("takes a time that is still to come, and no other", () => {
  expect(futureTime("2999-02-28T23:59:59Z").getTime()).toBe(Date.UTC(2999, 1, 28, 23, 59, 59));
  expect(() => futureTime("2020-01-01T00:00:00Z")).toThrow("It must be still to come.");
});

it("says in a sentence what a check says", () => {
  const check = (): never => {
    throw new Error("no name has that");
  };
  expect(() => checked(check)("x")).toThrow("No name has that.");
});
