import { expect, it } from "vitest";
import { median, percentile, spreadOf } from "./statistics.ts";

it("gives the smallest value that a part of them doesn't exceed", () => {
  const sorted = Float64Array.from({ length: 100 }, (_, index) => index + 1);
  expect(percentile(sorted, 0.5)).toBe(50);
  expect(percentile(sorted, 0.99)).toBe(99);
  expect(percentile(sorted, 1)).toBe(100);
  expect(percentile([7], 0.5)).toBe(7);
  expect(percentile([], 0.5)).toBeNaN();
});

it("gives the median and the quartiles, between two values where none stands there", () => {
  expect(spreadOf([4, 1, 3, 2])).toEqual({ median: 2.5, lower: 1.75, upper: 3.25 });
  expect(spreadOf([5, 9, 1])).toEqual({ median: 5, lower: 3, upper: 7 });
  expect(median([3])).toBe(3);
  expect(median([])).toBeNaN();
});
