import { HandlerError } from "@tandem/rpc";
import type { ReturnedValue } from "./bind-values.ts";
import type { StepResult } from "./step-result.ts";
import type { Step } from "./transaction-request.ts";
import type { Reference } from "./wire/given.ts";

/** What is referred to; a value like any other: it has to fit where it goes. Fails with UNRESOLVED_REF. */
export function resolveReference(
  ref: Reference,
  step: number,
  results: readonly StepResult[],
): ReturnedValue {
  const { columns = [], rows = [] } = results[ref.step] ?? {};
  const at = columns.findIndex(({ name }) => name === ref.column);
  const type = columns[at]?.type;
  const text = rows[ref.row]?.[at];
  const again = columns.findLastIndex(({ name }) => name === ref.column) !== at;
  if (type !== undefined && text !== undefined && !again) return { text, type };
  const rest = at < 0 ? "has no such column" : `has ${rows.length} rows`;
  const why = again ? "has several columns of that name" : rest;
  const message = `Step ${step} refers to "${ref.column}" in row ${ref.row} of step ${ref.step}, which ${why}.`;
  throw new HandlerError({ reason: "UNRESOLVED_REF", message, step });
}

/** Fails with GUARD_UNMET where so many changes are not what the step asks for. */
export function assertGuard(step: Step, index: number, changes: bigint): void {
  const { minChanges, maxChanges } = step;
  const met = (minChanges ?? 0n) <= changes && (maxChanges ?? changes) >= changes;
  if (met) return;
  const bounds = [
    ...(minChanges === undefined ? [] : [`at least ${minChanges}`]),
    ...(maxChanges === undefined ? [] : [`at most ${maxChanges}`]),
  ];
  throw new HandlerError({
    reason: "GUARD_UNMET",
    message: `Step ${index} changed ${changes} rows, where ${bounds.join(" and ")} had to be changed.`,
    step: index,
    guard: {
      actualChanges: changes,
      ...(minChanges === undefined ? {} : { minChanges }),
      ...(maxChanges === undefined ? {} : { maxChanges }),
    },
  });
}
