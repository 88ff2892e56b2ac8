import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { MovingTimer } from "./moving-timer.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** When it was due, in ms from now. */
function watch(): { readonly timer: MovingTimer; readonly due: number[] } {
  const began = performance.now();
  const due: number[] = [];
  return { timer: new MovingTimer(() => due.push(performance.now() - began)), due };
}

it("is due once, when the time that was set last has passed", () => {
  const { timer, due } = watch();
  timer.set(100);
  timer.set(500);
  vi.advanceTimersByTime(50);
  timer.set(200);
  vi.advanceTimersByTime(10_000);
  expect(due).toEqual([250]);
});

it("is set again as often as one likes, with one timer below", () => {
  const { timer, due } = watch();
  for (let time = 0; time < 1_000; time += 1) {
    timer.set(100);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(10);
  }
  expect(due).toEqual([]);
  vi.advanceTimersByTime(90);
  expect(due).toEqual([10_080 + 10]);
});

it("isn't due when it was stopped, also where it is set again later", () => {
  const { timer, due } = watch();
  timer.set(100);
  timer.stop();
  vi.advanceTimersByTime(1_000);
  expect(due).toEqual([]);
  timer.set(30);
  vi.advanceTimersByTime(1_000);
  expect(due).toEqual([1_030]);
});

it("waits also for longer than a timer of Node's can", () => {
  const { timer, due } = watch();
  timer.set(2 ** 31 + 1_000);
  vi.advanceTimersByTime(2 ** 31);
  expect(due).toEqual([]);
  vi.advanceTimersByTime(1_000);
  expect(due).toHaveLength(1);
});

it("leaves no timer behind when it is ended", () => {
  const { timer } = watch();
  timer.set(100);
  timer.stop();
  timer.end();
  expect(vi.getTimerCount()).toBe(0);
});
