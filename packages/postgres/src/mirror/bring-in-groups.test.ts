import { HandlerError, type Reason, StatusCode, TransportError } from "@tandem/rpc";
import { expect, it } from "vitest";
import { bringInGroups, mayBeOfOne } from "./bring-in-groups.ts";

const failed = (reason: Reason): HandlerError => new HandlerError({ reason, message: "It isn't taken." });
const unreached = (code: StatusCode): TransportError =>
  new TransportError({ code, sent: "maybe", method: "m", address: "a", details: "none" });

/** Brings the numbers from 0 to 9, three at once; what came of each, and how many were sent. */
async function bringTen(fate: (item: number) => Error | undefined) {
  const sent: number[] = [];
  const items = Array.from({ length: 10 }, (_, item) => item);
  const results = await bringInGroups(items, 3, async (some) => {
    sent.push(...some);
    return some.map(fate);
  });
  return { results, sent: sent.length };
}

it("what one is refused with is its own", async () => {
  const failure = failed("LOCK_TIMEOUT");
  const { results, sent } = await bringTen((item) => (item === 4 ? failure : undefined));
  expect(results).toEqual(Array.from({ length: 10 }, (_, item) => (item === 4 ? failure : undefined)));
  expect(sent).toBe(10);
});

it("the other side is asked for no more where it takes none of a group", async () => {
  const failures = Array.from({ length: 10 }, () => failed("DATABASE_UNAVAILABLE"));
  const { results, sent } = await bringTen((item) => (item < 3 ? undefined : failures[item]));
  expect(sent).toBe(6);
  expect(results).toEqual([
    undefined,
    undefined,
    undefined,
    ...failures.slice(3, 6),
    ...Array(4).fill(failures[3]),
  ]);
});

it("it is asked for the rest where each of a group is refused for its own sake", async () => {
  const { sent } = await bringTen((item) => (item < 3 ? failed("CHECK_VIOLATION") : undefined));
  expect(sent).toBe(10);
});

it.each<readonly [string, Error, boolean]>([
  ["a lock", failed("LOCK_TIMEOUT"), true],
  ["a failing handler", failed("HANDLER_FAILED"), true],
  ["too large a request", failed("REQUEST_TOO_LARGE"), true],
  ["no answer in time", unreached(StatusCode.DEADLINE_EXCEEDED), true],
  ["load", failed("OVERLOADED"), false],
  ["no database", failed("DATABASE_UNAVAILABLE"), false],
  ["who calls", failed("METHOD_NOT_ALLOWED"), false],
  ["no connection", unreached(StatusCode.UNAVAILABLE), false],
  ["a defect of this side", new TypeError("It is none."), false],
])("tells whether several failed because of one of them: %s", (_, failure, may) => {
  expect(mayBeOfOne(failure)).toBe(may);
});
