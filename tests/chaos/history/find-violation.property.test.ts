import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findViolation } from "./find-violation.ts";
import { type Action, apply, type End, INITIAL_NUMBER, type Operation } from "./operation.ts";
import { simulate } from "./simulate.ts";

const small = fc.nat({ max: 3 });
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.constant({ kind: "read" } as const),
  small.map((value) => ({ kind: "write", value }) as const),
  fc.record({ kind: fc.constant("swap" as const), expected: small, value: small }),
  small.map((by) => ({ kind: "add", by: by + 1 }) as const),
);

/** Reads and additions of which everybody was told the end: nothing in it can stand in for anything else. */
const accountedFor = fc
  .record({
    seed: fc.nat(),
    actions: fc.array(
      action.filter(({ kind }) => kind === "read" || kind === "add"),
      { minLength: 1, maxLength: 30 },
    ),
    processes: fc.integer({ min: 1, max: 5 }),
  })
  .map((options) => simulate({ ...options, failures: false }));

describe("what a linearizable store can have done", () => {
  it("always passes", () => {
    const history = fc
      .record({
        seed: fc.nat(),
        actions: fc.array(action, { maxLength: 40 }),
        processes: fc.integer({ min: 1, max: 6 }),
        failures: fc.boolean(),
      })
      .map(simulate);
    fc.assert(
      fc.property(history, (operations) => {
        expect(findViolation(operations)).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });

  it("passes in whatever order its lines were written down", () => {
    const shuffled = accountedFor.chain((history) =>
      fc.shuffledSubarray(history, { minLength: history.length }),
    );
    fc.assert(
      fc.property(shuffled, (operations) => {
        expect(findViolation(operations)).toBeUndefined();
      }),
    );
  });
});

describe("what it can't have done is always caught", () => {
  const additions = (history: readonly Operation[]): number[] =>
    history.flatMap(({ action: { kind } }, index) => (kind === "add" ? [index] : []));
  const withAddition = accountedFor
    .filter((history) => additions(history).length > 0)
    .chain((history) => fc.tuple(fc.constant(history), fc.constantFrom(...additions(history))));
  const caught = (mutate: (operation: Operation) => Operation[]): void =>
    fc.assert(
      fc.property(withAddition, ([history, index]) => {
        const mutated = history.flatMap((each, at) => (at === index ? mutate(each) : [each]));
        expect(findViolation(mutated)).toBeDefined();
      }),
    );

  it("an addition that was acknowledged and lost", () => {
    caught((operation) => {
      const { calledAt, end } = operation;
      // Another one like it, of which the store knows nothing.
      return [operation, { ...operation, end: { kind: "done", at: "at" in end ? end.at : calledAt } }];
    });
  });

  it("an addition that was denied and done", () => {
    caught((operation) => [{ ...operation, end: { kind: "denied" } }]);
  });

  it("an addition that was applied twice", () => {
    caught((operation) => {
      const { action: asked, end } = operation;
      if (asked.kind !== "add" || !("at" in end)) throw new Error("It was chosen as an addition.");
      // In the store it added twice what its caller asked for.
      return [{ ...operation, action: { kind: "add", by: asked.by / 2 }, end: { kind: "done", at: end.at } }];
    });
  });

  it("a stale read at the end", () => {
    const stale = fc.tuple(accountedFor, fc.integer({ min: 1, max: 5 })).map(([history, by]) =>
      history.map((operation) => {
        const { process, end } = operation;
        if (process !== "last" || end.kind !== "done") return operation;
        return { ...operation, end: { ...end, found: (end.found ?? 0) - by } };
      }),
    );
    fc.assert(
      fc.property(stale, (operations) => {
        expect(findViolation(operations)).toBeDefined();
      }),
    );
  });
});

it("agrees with trying every order, on small histories of any kind", () => {
  const end = (calledAt: number): fc.Arbitrary<End> =>
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.constant("done" as const), at: after(calledAt), found: small }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("done" as const), at: after(calledAt) }) },
      fc.record({ kind: fc.constant("unmet" as const), at: after(calledAt) }),
      fc.constant({ kind: "unknown" } as const),
      fc.constant({ kind: "denied" } as const),
    );
  const operation = fc.nat({ max: 10 }).chain((calledAt) =>
    fc.record({
      process: fc.constant("p"),
      key: fc.constant("k"),
      calledAt: fc.constant(calledAt),
      action,
      end: end(calledAt),
    }),
  );
  const verdicts = { passed: 0, failed: 0 };
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 6 }), (history) => {
      const explained = someOrderExplains(INITIAL_NUMBER, history);
      verdicts[explained ? "passed" : "failed"]++;
      expect(findViolation(history) === undefined).toBe(explained);
    }),
    { numRuns: 10_000 },
  );
  expect(Math.min(verdicts.passed, verdicts.failed), "of either verdict").toBeGreaterThan(300);
});

function after(calledAt: number): fc.Arbitrary<number> {
  return fc.integer({ min: calledAt, max: calledAt + 6 });
}

/** The definition, tried out: what must be there is taken in every order that the returns allow. */
function someOrderExplains(number: number, left: readonly Operation[]): boolean {
  const must = left.filter(({ end }) => "at" in end);
  if (must.length === 0) return true;
  const firstReturn = Math.min(...must.map(({ end }) => ("at" in end ? end.at : Infinity)));
  return left.some((operation) => {
    if (operation.end.kind === "denied" || operation.calledAt > firstReturn) return false;
    const next = apply(number, operation);
    return (
      next !== undefined &&
      someOrderExplains(
        next,
        left.filter((each) => each !== operation),
      )
    );
  });
}
