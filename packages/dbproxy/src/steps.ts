import { Reference, Statement } from "./statement.ts";
import { MAX_INT64 } from "./values/numbers.ts";
import { ResolvedReference, type StepRequest } from "./wire/transaction-request.ts";

/** How many rows a step may change: the whole transaction is rolled back unless min ≤ changes ≤ max. */
export type Guard =
  | { readonly min: number | bigint; readonly max?: number | bigint }
  | { readonly min?: number | bigint; readonly max: number | bigint };

/** A statement that must change as many rows as its guard says. */
export interface GuardedStatement<Row extends object = object> {
  readonly statement: Statement<Row>;
  readonly guard: Guard;
}

/** One step of a transaction. */
export type Step = Statement<object> | GuardedStatement;

type Bounds = Pick<StepRequest, "minChanges" | "maxChanges">;

/** The statements of steps that are some. */
export function statementsOf(steps: readonly Step[]): readonly Statement<object>[] {
  return steps.map((step) => (step instanceof Statement ? step : step.statement));
}

/**
 * The steps for the wire, their references resolved to positions.
 *
 * @throws TypeError for what is no step, for a statement that stands twice, for a reference to what is no
 * earlier step, for a guard that guards nothing
 * @throws RangeError for a guard's number that can't be a count of rows, or a min above the max
 */
export function toSteps(steps: readonly Step[]): StepRequest[] {
  const positions = new Map<Statement<object>, number>();
  return Array.from(steps, (step, position) => {
    const { statement, bounds } = toGuarded(step, position);
    const same = positions.get(statement.identity());
    if (same !== undefined) {
      throw new TypeError(`Step ${position} is the same object as step ${same}: make a statement for each.`);
    }
    const params = statement.params().map((param) => toParam(param, positions, position));
    positions.set(statement.identity(), position);
    return {
      source: statement.source(),
      params,
      minChanges: bounds.minChanges,
      maxChanges: bounds.maxChanges,
    };
  });
}

const UNBOUND: Bounds = { minChanges: undefined, maxChanges: undefined };

// Callers in plain JavaScript can pass what the types exclude.
function toGuarded(step: unknown, position: number): { statement: Statement<object>; bounds: Bounds } {
  if (step instanceof Statement) return { statement: step, bounds: UNBOUND };
  if (typeof step === "object" && step !== null && "statement" in step && "guard" in step) {
    const { statement, guard } = step;
    if (statement instanceof Statement) return { statement, bounds: toBounds(guard, position) };
  }
  throw new TypeError(
    `Step ${position} is neither sql\`…\` nor { statement: sql\`…\`, guard: { min, max } }.`,
  );
}

function toParam(
  param: ReturnType<Statement["params"]>[number],
  earlier: ReadonlyMap<Statement<object>, number>,
  position: number,
): StepRequest["params"][number] {
  if (!(param instanceof Reference)) return param;
  const { statement, column, row } = param;
  const step = earlier.get(statement.identity());
  if (step === undefined) {
    throw new TypeError(
      `Step ${position} refers to a statement that is no earlier step of this transaction: put it before.`,
    );
  }
  return new ResolvedReference({ step, row, column });
}

function toBounds(guard: unknown, position: number): Bounds {
  const given: { min?: unknown; max?: unknown } = typeof guard === "object" && guard !== null ? guard : {};
  const { min, max } = given;
  if (min === undefined && max === undefined) {
    throw new TypeError(`The guard of step ${position} has neither min nor max.`);
  }
  const minChanges = min === undefined ? undefined : toCount(min, `The guard's min of step ${position}`);
  const maxChanges = max === undefined ? undefined : toCount(max, `The guard's max of step ${position}`);
  if (minChanges !== undefined && maxChanges !== undefined && minChanges > maxChanges) {
    throw new RangeError(`The guard of step ${position} has a min above its max: nothing can meet it.`);
  }
  return { minChanges, maxChanges };
}

function toCount(value: unknown, subject: string): bigint {
  if (typeof value === "bigint" || (typeof value === "number" && Number.isSafeInteger(value))) {
    const count = BigInt(value);
    if (count >= 0n && count <= MAX_INT64) return count;
  }
  throw new RangeError(`${subject} is not a count of rows: a whole number from 0 on.`);
}
