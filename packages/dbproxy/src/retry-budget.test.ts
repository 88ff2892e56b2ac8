import { expect, it } from "vitest";
import { createRetryBudget } from "./retry-budget.ts";

it("has a burst of retries, and one more for every few calls", () => {
  const budget = createRetryBudget({ retryBurst: 3, retriesPerCall: 0.25 });
  const spend = (times: number): boolean[] => Array.from({ length: times }, () => budget.spend());
  expect(spend(5)).toEqual([true, true, true, false, false]);
  for (let call = 0; call < 4; call += 1) budget.earn();
  expect(spend(2)).toEqual([true, false]);
});

it("never has more than the burst", () => {
  const budget = createRetryBudget({ retryBurst: 1, retriesPerCall: 0.5 });
  for (let call = 0; call < 100; call += 1) budget.earn();
  expect([budget.spend(), budget.spend()]).toEqual([true, false]);
});
