import {
  apply,
  changesNothing,
  describeAction,
  describeOperation,
  INITIAL_NUMBER,
  type Operation,
} from "./operation.ts";

/** How many configurations the search may look at for each operation of a key, and at the least for a key. */
const CONFIGURATIONS_PER_OPERATION = 100;
const CONFIGURATIONS_PER_KEY = 100_000;

/** A history that can't be decided within the budget: nothing is known of it, so it is no pass. */
export class UndecidedHistoryError extends Error {
  override readonly name = "UndecidedHistoryError";
}

/**
 * Looks for a key whose operations are not linearizable: no order of them in which each takes effect at
 * once, between its call and its return, explains what their processes were told. Keys are independent.
 *
 * This is the search of Wing and Gong with Lowe's improvements ("Testing for Linearizability", 2017): in
 * the order of the returns an operation takes effect only when one has to, and no configuration is looked
 * at twice.
 *
 * @returns a sentence about the first operation that nothing explains, or undefined
 * @throws UndecidedHistoryError where too many operations are concurrent
 */
export function findViolation(
  operations: readonly Operation[],
  options: { readonly budgetPerKey?: number } = {},
): string | undefined {
  for (const [key, ofKey] of Map.groupBy(operations, ({ key: each }) => each)) {
    const byDefault = Math.max(CONFIGURATIONS_PER_KEY, CONFIGURATIONS_PER_OPERATION * ofKey.length);
    const violation = checkKey(key, ofKey.filter(canMatter), options.budgetPerKey ?? byDefault);
    if (violation !== undefined) return violation;
  }
  return undefined;
}

// What has no effect and was told nothing can stand anywhere, or nowhere.
function canMatter({ action, end }: Operation): boolean {
  return end.kind !== "denied" && !(end.kind === "unknown" && action.kind === "read");
}

/** An operation that was called and has not returned, at the place of its bit in a configuration. */
interface Pending {
  readonly operation: Operation;
  readonly bit: bigint;
  /** Empty where it returns; for the others, equal ones may stand in for each other. */
  readonly alike: string;
}

/** One explanation of everything that has returned: the number, and which pending operations have had effect. */
interface Configuration {
  readonly number: number;
  readonly effective: bigint;
}

interface Search {
  readonly pending: readonly Pending[];
  readonly spend: () => void;
}

function checkKey(key: string, operations: readonly Operation[], budget: number): string | undefined {
  const pending: Pending[] = [];
  let spent = 0;
  const spend = (): void => {
    if (++spent <= budget) return;
    throw new UndecidedHistoryError(
      `Too many concurrent operations to decide: key ${key} has ${operations.length} operations, ${pending.length} ` +
        `of them at once, and ${budget} configurations were not enough.`,
    );
  };
  let configurations: readonly Configuration[] = [{ number: INITIAL_NUMBER, effective: 0n }];
  for (const { operation, returns } of eventsOf(operations)) {
    if (!returns) {
      pending.push(toPending(operation, pending));
      continue;
    }
    const index = pending.findIndex((each) => each.operation === operation);
    const returning = pending[index];
    if (returning === undefined) throw new Error("An operation returns that was not called.");
    const before = configurations;
    configurations = search({ pending, spend }, configurations, returning);
    if (configurations.length === 0) return explain({ key, operation, before, pending });
    pending.splice(index, 1);
  }
  return undefined;
}

interface HistoryEvent {
  readonly operation: Operation;
  readonly at: number;
  readonly returns: boolean;
}

function eventsOf(operations: readonly Operation[]): readonly HistoryEvent[] {
  const events = operations.flatMap((operation): HistoryEvent[] => {
    const { calledAt, end } = operation;
    if ("at" in end && end.at < calledAt) throw new Error("An operation returns before it is called.");
    const call = { operation, at: calledAt, returns: false };
    return "at" in end ? [call, { operation, at: end.at, returns: true }] : [call];
  });
  return events.toSorted((a, b) => a.at - b.at || Number(a.returns) - Number(b.returns));
}

function toPending(operation: Operation, pending: readonly Pending[]): Pending {
  let bit = 1n;
  while (pending.some((each) => each.bit === bit)) bit <<= 1n;
  return { operation, bit, alike: operation.end.kind === "unknown" ? describeAction(operation.action) : "" };
}

/** Every configuration in which `returning` has had its effect, without it: it is history now. */
function search(
  { pending, spend }: Search,
  from: readonly Configuration[],
  returning: Pending,
): readonly Configuration[] {
  const seen = new Set<string>();
  const found = new Map<string, Configuration>();
  const todo: Configuration[] = [];
  const reach = (number: number, effective: bigint): void => {
    const reached = absorb({ number, effective }, pending);
    const name = nameOf(reached);
    if (seen.has(name)) return;
    spend();
    seen.add(name);
    if ((reached.effective & returning.bit) === 0n) {
      todo.push(reached);
      return;
    }
    const without = { ...reached, effective: reached.effective & ~returning.bit };
    found.set(nameOf(without), without);
  };
  for (const { number, effective } of from) reach(number, effective);
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const tried = new Set<string>();
    for (const { operation, bit, alike } of pending) {
      if ((next.effective & bit) !== 0n || tried.has(alike)) continue;
      if (alike !== "") tried.add(alike);
      const after = apply(next.number, operation);
      if (after !== undefined) reach(after, next.effective | bit);
    }
  }
  return [...found.values()];
}

// What changes nothing may as well stand as early as it can: that excludes no later order.
function absorb({ number, effective }: Configuration, pending: readonly Pending[]): Configuration {
  let all = effective;
  for (const { operation, bit } of pending) {
    if (changesNothing(operation) && apply(number, operation) !== undefined) all |= bit;
  }
  return { number, effective: all };
}

function nameOf({ number, effective }: Configuration): string {
  return `${number} ${effective}`;
}

function explain(failure: {
  readonly key: string;
  readonly operation: Operation;
  readonly before: readonly Configuration[];
  readonly pending: readonly Pending[];
}): string {
  const numbers = [...new Set(failure.before.map(({ number }) => number))].toSorted((a, b) => a - b);
  const others = failure.pending
    .map(({ operation }) => operation)
    .filter((operation) => operation !== failure.operation)
    .map(describeOperation);
  return (
    `Key ${failure.key}: no order explains ${describeOperation(failure.operation)}. ` +
    `Before it, or before what ran beside it, the number was ${numbers.join(" or ")}. ` +
    `Beside it: ${others.length === 0 ? "nothing" : others.join("; ")}.`
  );
}
