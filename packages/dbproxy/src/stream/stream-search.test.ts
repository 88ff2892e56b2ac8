import { expect, it } from "vitest";
import { StreamSearch } from "./stream-search.ts";

it("a search is made at once, then ever more seldom, and at once again when something has changed", () => {
  const search = new StreamSearch({ minSearchMs: 50, maxSearchMs: 150 });
  const waits: number[] = [];
  let now = 1_000;
  for (let round = 0; round < 4; round += 1) {
    const began = now;
    while (!search.isDue(now)) now += 1;
    waits.push(now - began);
    search.waitLonger(now);
  }
  expect(waits).toEqual([0, 50, 100, 150]);
  search.beginAnew();
  expect(search.isDue(now)).toBe(true);
  search.waitLonger(now);
  expect(search.isDue(now + 49)).toBe(false);
  expect(search.isDue(now + 50)).toBe(true);
});
