import type { DeclaredRow, Guard, ParamsOf } from "@tandem/dbproxy";
import type { DeclaredStatement, DeclaredTypes } from "@tandem/statements";

/** A declared statement with its values, to be run in whichever database decides. */
export interface DeclaredStep<Row extends object = object> {
  readonly statement: DeclaredStatement;
  readonly values: Readonly<Record<string, unknown>>;
  /** How many rows it has to change. */
  readonly guard: Guard | undefined;
  /** Exists for the type checker alone. */
  readonly row?: Row;
}

/** What became of a step. */
export interface StepOutcome<Row extends object = object> {
  readonly changes: bigint;
  readonly rows: readonly Row[];
}

/** What became of several, in their order. */
export type OutcomesOf<Steps extends readonly DeclaredStep[]> = {
  readonly [Index in keyof Steps]: Steps[Index] extends DeclaredStep<infer Row> ? StepOutcome<Row> : never;
};

/** Makes a step of a statement. */
export function step<Params extends DeclaredTypes, Result extends DeclaredTypes>(
  statement: DeclaredStatement<Params, Result>,
  values: Omit<ParamsOf<Params>, never>,
  guard?: Guard,
): DeclaredStep<DeclaredRow<Result>> {
  return { statement, values, guard };
}
