import { HandlerError, type Interruptible } from "@tandem/rpc";
import type { Described } from "./describe-statement.ts";
import { type DbProxyLimits, wireLimit } from "./limits.ts";
import { assertRowsAsDeclared } from "./registered/assert-declared.ts";
import type { RegisteredStatement } from "./registered/registry.ts";
import { type Answer, RoundTooLargeError } from "./round.ts";

/** What a step gave: its rows as PostgreSQL sent them, which go from there straight into the answer's bytes. */
export interface StepResult {
  readonly changes: bigint;
  readonly columns: Described["columns"];
  readonly rows: Answer["rows"];
}

// The least that an element of a list takes in an answer; taken apart in memory it takes far more than as text.
const ELEMENT_BYTES = 8;

/** Makes a step's result of what PostgreSQL answered. Fails where that is more than an answer may hold. */
export function* checkingResult(
  { rows, tag }: Pick<Answer, "rows" | "tag">,
  columns: Described["columns"],
  { limits, step, registered }: ResultRules,
): Interruptible<StepResult> {
  const where = step === undefined ? {} : { step };
  if (rows.length > limits.maxRows) {
    const message = `The result has more than ${limits.maxRows} rows: ask for less at a time.`;
    throw new HandlerError({ reason: "RESULT_TOO_LARGE", message, ...where });
  }
  if (registered !== undefined) assertRowsAsDeclared(registered, { columns, rows }, where);
  yield* refusingLongLists(rows, columns, limits);
  return { changes: changesOf(tag), columns, rows };
}

interface ResultRules {
  readonly limits: DbProxyLimits;
  readonly step: number | undefined;
  /** Where it was called by a name. */
  readonly registered: RegisteredStatement | undefined;
}

function* refusingLongLists(
  rows: Answer["rows"],
  columns: Described["columns"],
  limits: DbProxyLimits,
): Interruptible<void> {
  let left = wireLimit(limits) / ELEMENT_BYTES;
  for (const [index, { type }] of columns.entries()) {
    const { kind, delimiter = "," } = type;
    if (kind !== "list") continue;
    for (const row of rows) {
      const text = row[index] ?? "";
      for (let at = text.indexOf(delimiter); at >= 0; at = text.indexOf(delimiter, at + 1)) {
        left -= 1;
        if (left < 0) throw new RoundTooLargeError();
        if (left % SLICE_ELEMENTS === 0) yield;
      }
      yield;
    }
  }
}

const SLICE_ELEMENTS = 16 * 1024;

/** The count of a command tag: `INSERT 0 3`, `UPDATE 3`, `SELECT 3`; 0 where there is none. */
function changesOf(tag: string): bigint {
  const count = Number(tag.slice(tag.lastIndexOf(" ") + 1));
  return Number.isNaN(count) ? 0n : BigInt(count);
}
