import { describe, expect, it } from "vitest";
import { findViolation, UndecidedHistoryError } from "./find-violation.ts";
import type { Action, End, Operation } from "./operation.ts";

const read: Action = { kind: "read" };
const write = (value: number): Action => ({ kind: "write", value });
const swap = (expected: number, value: number): Action => ({ kind: "swap", expected, value });
const add = (by: number): Action => ({ kind: "add", by });
const unknown: End = { kind: "unknown" };
const denied: End = { kind: "denied" };
const done = (at: number, found?: number): End => ({
  kind: "done",
  at,
  ...(found !== undefined && { found }),
});
const unmet = (at: number): End => ({ kind: "unmet", at });

let processes = 0;
const operation = (calledAt: number, action: Action, end: End, key = "k"): Operation => ({
  process: `p${++processes}`,
  key,
  calledAt,
  action,
  end,
});

describe("a history that some order explains", () => {
  it.each<[string, readonly Operation[]]>([
    ["nothing", []],
    ["one after the other", [operation(0, write(1), done(1)), operation(2, read, done(3, 1))]],
    [
      "reads beside a write, of the number before it and after it",
      [
        operation(0, write(1), done(9)),
        operation(1, read, done(2, 0)),
        operation(3, read, done(4, 1)),
        operation(5, read, done(6, 1)),
      ],
    ],
    [
      "a read that takes effect before a write that was called first",
      [operation(0, write(1), done(5)), operation(1, read, done(6, 0))],
    ],
    [
      "two additions at once, each of which found the other's or not",
      [operation(0, add(1), done(5, 2)), operation(1, add(1), done(5, 1)), operation(6, read, done(7, 2))],
    ],
    [
      "a write of unknown outcome that is seen much later",
      [
        operation(0, write(7), unknown),
        operation(1, read, done(2, 0)),
        operation(3, write(1), done(4)),
        operation(5, read, done(6, 7)),
      ],
    ],
    [
      "an addition of unknown outcome that takes effect before one like it that was called first",
      [operation(0, add(1), done(9, 2)), operation(1, add(1), unknown), operation(2, read, done(3, 1))],
    ],
    [
      "a write of unknown outcome that is never seen",
      [operation(0, write(7), unknown), operation(1, read, done(2, 0))],
    ],
    [
      "a swap that was unmet because of a write beside it",
      [operation(0, write(1), done(9)), operation(1, swap(0, 5), unmet(2)), operation(3, read, done(4, 1))],
    ],
    [
      "a swap of unknown outcome whose number came only later",
      [operation(0, swap(1, 2), unknown), operation(1, write(1), done(2)), operation(3, read, done(4, 2))],
    ],
    ["what happens at the same time", [operation(0, write(1), done(1)), operation(1, read, done(1, 0))]],
    [
      "keys that know nothing of each other",
      [operation(0, write(1), done(1), "a"), operation(2, read, done(3, 0), "b")],
    ],
  ])("passes: %s", (_, history) => {
    expect(findViolation(history)).toBeUndefined();
  });
});

describe("a history that no order explains", () => {
  it.each<[string, readonly Operation[]]>([
    [
      "a stale read",
      [operation(0, write(1), done(1)), operation(2, write(2), done(3)), operation(4, read, done(5, 1))],
    ],
    [
      "a read that goes back behind another read",
      [operation(0, write(1), done(9)), operation(1, read, done(2, 1)), operation(3, read, done(4, 0))],
    ],
    [
      "a lost update: two additions that found the same number",
      [operation(0, add(1), done(5, 1)), operation(1, add(1), done(6, 1))],
    ],
    [
      "a lost update: two swaps of the same number",
      [operation(0, swap(0, 1), done(5)), operation(1, swap(0, 2), done(6))],
    ],
    ["an addition applied twice", [operation(0, add(1), done(1)), operation(2, read, done(3, 2))]],
    [
      "an addition of unknown outcome applied twice",
      [operation(0, add(1), unknown), operation(1, read, done(2, 2))],
    ],
    [
      "a write applied a second time, late",
      [
        operation(0, write(1), done(1)),
        operation(2, write(2), done(3)),
        operation(4, read, done(5, 2)),
        operation(6, read, done(7, 1)),
      ],
    ],
    ["a write acknowledged and lost", [operation(0, write(1), done(1)), operation(2, read, done(3, 0))]],
    [
      "an addition acknowledged and lost, beside one of unknown outcome that can't stand in for it",
      [operation(0, add(1), done(1)), operation(0, add(2), unknown), operation(2, read, done(3, 2))],
    ],
    [
      "a read of a number whose write was denied",
      [operation(0, write(1), denied), operation(1, read, done(2, 1))],
    ],
    [
      "a write that was denied and is there later",
      [
        operation(0, write(1), denied),
        operation(1, read, done(2, 0)),
        operation(3, write(2), done(4)),
        operation(5, read, done(6, 1)),
      ],
    ],
    [
      "a read before the only write of its number was called",
      [operation(0, read, done(1, 7)), operation(2, write(7), unknown)],
    ],
    [
      "a swap that was unmet though the number was the expected one all the time",
      [operation(0, write(1), done(1)), operation(2, swap(1, 2), unmet(3))],
    ],
    [
      "a swap that is met by a number that never was",
      [operation(0, write(1), done(1)), operation(2, swap(3, 4), done(3))],
    ],
    [
      "one key's, among good ones",
      [operation(0, write(1), done(1), "good"), operation(0, read, done(1, 5), "bad")],
    ],
  ])("is caught: %s", (_, history) => {
    expect(findViolation(history)).toMatch(/^Key \w+: no order explains /);
  });

  it("is told by the first operation that nothing explains, and what ran beside it", () => {
    const history: Operation[] = [
      { process: "ann", key: "x", calledAt: 0, action: write(1), end: done(1) },
      { process: "bob", key: "x", calledAt: 2, action: write(3), end: unknown },
      { process: "cat", key: "x", calledAt: 4, action: read, end: done(5, 2) },
    ];
    expect(findViolation(history)).toBe(
      "Key x: no order explains cat read [4, 5] found 2. Before it, or before what ran beside it, " +
        "the number was 1. Beside it: bob write 3 [2, … unknown.",
    );
  });
});

describe("the work", () => {
  it("stays small for many additions of unknown outcome, which can stand in for each other", () => {
    const history = Array.from({ length: 60 }, (_unused, index) => operation(index, add(1), unknown));
    history.push(operation(100, read, done(101, 30)), operation(102, read, done(103, 29)));
    expect(findViolation(history, { budgetPerKey: 1_000 })).toMatch(/found 29/);
  });

  it("stays small for long histories", () => {
    const history = Array.from({ length: 20_000 }, (_unused, index) =>
      operation(index, add(1), done(index + 4)),
    );
    history.push(operation(30_000, read, done(30_001, 20_000)));
    expect(findViolation(history)).toBeUndefined();
  });

  it("fails loudly where too many different writes are concurrent, instead of passing or going on for ever", () => {
    const history = Array.from({ length: 40 }, (_unused, index) => operation(0, write(index + 1), done(100)));
    history.push(operation(101, read, done(102, 999)));
    expect(() => findViolation(history)).toThrow(UndecidedHistoryError);
    expect(() => findViolation(history, { budgetPerKey: 10 })).toThrow(
      /^Too many concurrent operations to decide: key k has 41 /,
    );
  }, 30_000);

  it("refuses a history with a return before its call, which is no history", () => {
    expect(() => findViolation([operation(5, read, done(4, 0))])).toThrow(/before it is called/);
  });
});
