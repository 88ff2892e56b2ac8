import { expect, it } from "vitest";
import { schedule } from "./schedule.ts";

const limits: Readonly<Record<string, readonly number[]>> = { limited: [1, 16], alone: [1] };

function order(rows: readonly string[], concurrency: readonly number[], rounds: number): readonly string[] {
  const slots = schedule(rows, { rounds, warmUp: true, concurrency, numbersOf: (row) => limits[row] });
  return slots.map(({ row, round, inFlight }) => `${round} ${row} ${inFlight}`);
}

it("lets rows take turns at each number in flight, backwards in every other round, after one that warms up", () => {
  const rounds = order(["a", "b"], [1, 16], 2);
  expect(rounds.slice(0, 4)).toEqual(["0 a 1", "0 b 1", "0 a 16", "0 b 16"]);
  expect(rounds.slice(4, 8)).toEqual(["1 b 1", "1 a 1", "1 b 16", "1 a 16"]);
  expect(rounds.slice(8)).toEqual(["2 a 1", "2 b 1", "2 a 16", "2 b 16"]);
});

it("measures a row only where it says, and at its first number where nobody asks for one of them", () => {
  expect(order(["a", "limited", "alone"], [16, 64], 0)).toEqual([
    "0 alone 1",
    "0 a 16",
    "0 limited 16",
    "0 a 64",
  ]);
});

it("begins with what is counted where there is no warm-up", () => {
  const slots = schedule(["a"], { rounds: 2, warmUp: false, concurrency: [1], numbersOf: () => undefined });
  expect(slots.map(({ round }) => round)).toEqual([1, 2]);
});
