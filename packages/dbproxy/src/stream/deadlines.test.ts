import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createDeadlines, type Ending } from "./deadlines.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("many deadlines", () => {
  it("pass one by one, each at its moment, in whatever order they were added", () => {
    const passed: [number, number][] = [];
    const began = Date.now();
    const deadlines = createDeadlines<Ending>(({ deadline }) =>
      passed.push([deadline - began, Date.now() - began]),
    );
    for (const ms of [300, 20, 100, 20, 5_000]) deadlines.add({ deadline: began + ms });
    vi.advanceTimersByTime(4_999);
    expect(passed).toEqual([
      [20, 20],
      [20, 20],
      [100, 100],
      [300, 300],
    ]);
    expect(deadlines.size).toBe(1);
  });

  it("have one timer, also while thousands come and go", () => {
    const deadlines = createDeadlines<Ending>(() => expect.unreachable());
    for (let call = 0; call < 1_000; call += 1) {
      const ending = { deadline: Date.now() + 10_000 };
      deadlines.add(ending);
      expect(vi.getTimerCount()).toBe(1);
      vi.advanceTimersByTime(1);
      deadlines.delete(ending);
    }
    vi.advanceTimersByTime(20_000);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("beyond what a timer can wait are waited for", () => {
    const passed: Ending[] = [];
    const deadlines = createDeadlines<Ending>((ending) => passed.push(ending));
    const farMs = 60 * 24 * 3_600 * 1_000;
    deadlines.add({ deadline: Date.now() + farMs });
    vi.advanceTimersByTime(farMs - 1);
    expect(passed).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(passed).toHaveLength(1);
  });

  it("can be added by whoever is told of one", () => {
    const passed: string[] = [];
    const deadlines = createDeadlines<Ending & { readonly name: string }>(({ name }) => {
      passed.push(name);
      if (name === "first") deadlines.add({ name: "second", deadline: Date.now() + 5 });
    });
    deadlines.add({ name: "last", deadline: Date.now() + 50 });
    deadlines.add({ name: "first", deadline: Date.now() + 10 });
    vi.advanceTimersByTime(60);
    expect(passed).toEqual(["first", "second", "last"]);
  });
});

it("a deadline keeps the process alive for as long as it is waited for, and no longer", () => {
  vi.useRealTimers();
  const before = process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
  const count = (): number => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
  const deadlines = createDeadlines<Ending>(() => {});
  const ending = { deadline: Date.now() + 60_000 };
  deadlines.add(ending);
  expect(count()).toBe(before + 1);
  deadlines.delete(ending);
  expect(count()).toBe(before);
  deadlines.add(ending);
  expect(count()).toBe(before + 1);
  deadlines.delete(ending);
});
