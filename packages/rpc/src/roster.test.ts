import { expect, it } from "vitest";
import { Roster } from "./roster.ts";

it("a roster holds what was added and not deleted, each once, in whatever order they go", () => {
  const roster = new Roster<{ place?: number; readonly name: string }>();
  const [a, b, c] = [{ name: "a" }, { name: "b" }, { name: "c" }];
  for (const each of [a, b, c]) roster.add(each);
  expect([roster.delete(a), roster.delete(a)]).toEqual([true, false]);
  expect(new Set(roster.all())).toEqual(new Set([b, c]));
  expect([roster.delete(c), roster.delete(b)]).toEqual([true, true]);
  expect(roster.size).toBe(0);
  roster.add(a);
  expect(roster.delete({ name: "a" })).toBe(false);
  expect(roster.all()).toEqual([a]);
});
