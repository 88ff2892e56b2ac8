import { describe, expect, it } from "vitest";
import { sql } from "./sql.ts";
import type { Guard, Step } from "./steps.ts";
import { sentSteps } from "./testing/wire.ts";

const guarded = (guard: unknown): Step => ({ statement: sql`DELETE FROM t`, guard: guard as Guard });

describe("a guard", () => {
  it.each<{ guard: Guard; sent: object }>([
    { guard: { min: 1 }, sent: { minChanges: 1n } },
    { guard: { max: 0 }, sent: { maxChanges: 0n } },
    { guard: { min: 1n, max: 1 }, sent: { minChanges: 1n, maxChanges: 1n } },
    { guard: { min: 0, max: 2n ** 63n - 1n }, sent: { minChanges: 0n, maxChanges: 2n ** 63n - 1n } },
  ])("travels with its step: %o", ({ guard, sent }) => {
    const [step] = sentSteps([guarded(guard)]);
    const { minChanges, maxChanges } = { minChanges: undefined, maxChanges: undefined, ...step };
    expect({ minChanges, maxChanges }).toEqual({ minChanges: undefined, maxChanges: undefined, ...sent });
  });

  it.each<{ guard: unknown; error: string }>([
    { guard: { min: -1 }, error: "RangeError" },
    { guard: { max: -1n }, error: "RangeError" },
    { guard: { min: 1.5 }, error: "RangeError" },
    { guard: { min: NaN }, error: "RangeError" },
    { guard: { max: Infinity }, error: "RangeError" },
    { guard: { max: 2n ** 63n }, error: "RangeError" },
    { guard: { min: "1" }, error: "RangeError" },
    { guard: { min: null }, error: "RangeError" },
    { guard: { min: 2, max: 1 }, error: "RangeError" },
    { guard: {}, error: "TypeError" },
    { guard: { min: undefined }, error: "TypeError" },
    { guard: undefined, error: "TypeError" },
    { guard: 1, error: "TypeError" },
  ])("is refused where it can't have been meant: %o", ({ guard, error }) => {
    expect(() => sentSteps([sql`SELECT 1`, guarded(guard)])).toThrow(
      expect.objectContaining({ name: error, message: expect.stringContaining("step 1") }),
    );
  });
});

describe("a reference", () => {
  it("becomes the position of the step that it was made from, guarded or not", () => {
    const first = sql<{ id: string }>`INSERT INTO a DEFAULT VALUES RETURNING id`;
    const second = sql<{ id: string; n: bigint }>`INSERT INTO b VALUES (${first.ref("id")}) RETURNING id, n`;
    const third = sql`INSERT INTO c VALUES (${second.ref("n", { row: 3 })}, ${1}, ${first.ref("id")})`;
    const [, , sent] = sentSteps([first, { statement: second, guard: { min: 1 } }, third]);
    expect(sent?.params).toMatchObject([
      { kind: { case: "ref", value: { step: 1, row: 3, column: "n" } } },
      { kind: { case: "value", value: { kind: { value: 1n } } } },
      { kind: { case: "ref", value: { step: 0, row: 0, column: "id" } } },
    ]);
  });

  it("is resolved anew in each transaction that its statement is part of", () => {
    const first = sql`INSERT INTO a DEFAULT VALUES RETURNING id`;
    const second = sql`INSERT INTO b VALUES (${first.ref("id")})`;
    expect(sentSteps([first, second])[1]?.params).toMatchObject([{ kind: { value: { step: 0 } } }]);
    expect(sentSteps([sql`SELECT 1`, first, second])[2]?.params).toMatchObject([
      { kind: { value: { step: 1 } } },
    ]);
  });

  it("is refused where its statement stands later, or nowhere", () => {
    const first = sql`INSERT INTO a DEFAULT VALUES RETURNING id`;
    const second = sql`INSERT INTO b VALUES (${first.ref("id")})`;
    expect(() => sentSteps([second, first])).toThrow(/^Step 0 refers to .* no earlier step/);
    expect(() => sentSteps([sql`SELECT 1`, second])).toThrow(TypeError);
  });

  it.each([-1, 0.5, NaN, 2 ** 31])("is refused for the row %d", (row) => {
    expect(() => sql`SELECT 1`.ref("a", { row })).toThrow(RangeError);
  });
});

describe("a step", () => {
  it("is refused where the same object is a step already", () => {
    const statement = sql`SELECT 1`;
    expect(() => sentSteps([statement, sql`SELECT 1`, statement])).toThrow(
      /^Step 2 is the same object as step 0/,
    );
    expect(() => sentSteps([statement, { statement, guard: { min: 1 } }])).toThrow(TypeError);
  });

  it.each([
    undefined,
    null,
    "SELECT 1",
    {},
    { text: "SELECT 1" },
    { statement: "SELECT 1", guard: { min: 1 } },
  ])("is refused where it is none: %o", (step) => {
    expect(() => sentSteps([step as unknown as Step])).toThrow(/^Step 0 is neither/);
  });

  it("is refused where a list of them has a hole", () => {
    expect(() => sentSteps(Array<Step>(1))).toThrow(/^Step 0 is neither/);
  });
});
