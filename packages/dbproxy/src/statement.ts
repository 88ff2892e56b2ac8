import type { Value } from "@tandem/contract/tandem/assistant/v1/db_proxy";

// The contract counts rows in 32 bits.
const MAX_ROW = 2 ** 31 - 1;

declare const rowType: unique symbol;

/** Rows of which the caller said nothing: any column, of any type. */
export type UntypedRow = Readonly<Record<string, unknown>>;

/**
 * One SQL statement with its bind values, made by the `sql` template. It doesn't change and may be used
 * again in another transaction. Its values are not shown when it is logged.
 */
export class Statement<Row extends object = UntypedRow> {
  /** Exists for the type checker alone. */
  declare readonly [rowType]: Row;
  /** The text as PostgreSQL gets it, with `$1`, `$2`, … for the values. */
  readonly text: string;
  readonly #params: readonly (Value | Reference)[];

  /** For this package's own use: the `sql` template makes statements. */
  constructor(text: string, params: readonly (Value | Reference)[]) {
    this.text = text;
    this.#params = params;
  }

  /** For this package's own use. */
  params(): readonly (Value | Reference)[] {
    return this.#params;
  }

  /**
   * Stands, in a later step of the same transaction, for what this one returns in `column`: a generated
   * key, say. Of the first row where `row` (from 0) isn't given.
   *
   * @throws RangeError where `row` is no row's index
   */
  ref(column: keyof Row & string, { row = 0 }: { readonly row?: number } = {}): Reference {
    if (!Number.isInteger(row) || row < 0 || row > MAX_ROW) {
      throw new RangeError("A reference's row is a whole number from 0 on.");
    }
    return new Reference({ statement: this, column, row });
  }
}

/** A value that an earlier step of the same transaction returns. Made by `statement.ref()`. */
export class Reference {
  readonly statement: Statement<object>;
  readonly column: string;
  readonly row: number;

  constructor(to: { readonly statement: Statement<object>; readonly column: string; readonly row: number }) {
    this.statement = to.statement;
    this.column = to.column;
    this.row = to.row;
  }
}

/** The type of the rows that a statement was said to return. */
export type RowOf<S> = S extends Statement<infer Row> ? Row : never;
