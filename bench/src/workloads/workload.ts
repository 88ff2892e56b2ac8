/** A piece of work that is done in one transaction: written once, and done in every way that there is. */
export interface Workload {
  /** Makes its tables, with what is in them, as the owner of the database; what is there already stays. */
  readonly define: readonly string[];
  /** The steps of one transaction, with values that are chosen anew, as the given tag makes a statement. */
  steps<S>(sql: Tag<S>): readonly WorkStep<S>[];
  /** The same for pgbench, which can't hold a step to its guard. */
  readonly pgbenchScript?: string;
}

/** How a statement is made of a template: by the tag `sql` of @tandem/dbproxy, for one. */
export type Tag<S> = (template: TemplateStringsArray, ...values: readonly WorkValue[]) => S;

export type WorkValue = string | bigint;

export interface WorkStep<S> {
  readonly statement: S;
  /** The guard: how many rows it must change. */
  readonly changes?: number;
}

/** A whole number from 1 to `max`. */
export function pick(max: number): bigint {
  return BigInt(1 + Math.floor(Math.random() * max));
}
