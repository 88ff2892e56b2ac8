import type { StepResult, Value } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { HandlerError } from "@tandem/rpc";
import type { Reference, Step } from "./transaction-request.ts";

/** What is referred to; a value like any other: it has to fit where it goes. Fails with UNRESOLVED_REF. */
export function resolveReference(ref: Reference, step: number, results: readonly StepResult[]): Value {
  const { columns = [], rows = [] } = results[ref.step] ?? {};
  const at = columns.findIndex(({ name }) => name === ref.column);
  const value = rows[ref.row]?.values[at];
  const again = columns.findLastIndex(({ name }) => name === ref.column) !== at;
  if (value !== undefined && !again) return value;
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
