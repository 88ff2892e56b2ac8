import { describe, expect, it } from "vitest";
import { createServiceTimes } from "./service-times.ts";

function after(tasks: readonly { readonly ms: number; readonly through?: boolean }[], maxRunning = 1) {
  const times = createServiceTimes(maxRunning);
  for (const { ms, through = true } of tasks) times.add({ ms, through });
  return times;
}
const repeat = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

describe("the time that a task will take at least", () => {
  it("is nothing where nothing is known", () => {
    expect(after([]).leastMs(5)).toBe(0);
  });

  it("grows with those who wait before it, and shrinks with those that run at a time", () => {
    const tasks = repeat(100, { ms: 50 });
    expect(after(tasks).leastMs(0)).toBeCloseTo(75);
    expect(after(tasks).leastMs(4)).toBeCloseTo(375);
    expect(after(tasks, 4).leastMs(4)).toBeCloseTo(150);
  });

  it("is that of the short tasks where they differ", () => {
    const mixed = Array.from({ length: 200 }, (_, at) => ({ ms: at % 4 === 0 ? 5 : 1_000 }));
    expect(after(mixed).leastMs(0)).toBeLessThan(300);
  });

  it("soon forgets long tasks, and is not shortened by those that were cut off", () => {
    expect(after([...repeat(100, { ms: 5_000 }), ...repeat(10, { ms: 10 })]).leastMs(0)).toBeLessThan(50);
    expect(
      after([...repeat(100, { ms: 50 }), ...repeat(100, { ms: 5, through: false })]).leastMs(0),
    ).toBeCloseTo(75);
  });
});
