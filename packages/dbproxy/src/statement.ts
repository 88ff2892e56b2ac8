import type { Value } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import type { DeclaredStatement } from "@tandem/statements";

// The contract counts rows in 32 bits.
const MAX_ROW = 2 ** 31 - 1;

declare const rowType: unique symbol;

/** Rows of which the caller said nothing: any column, of any type. */
export type UntypedRow = Readonly<Record<string, unknown>>;

/** For this package's own use: what a statement is beside its text and values. */
export interface StatementOrigin {
  readonly declared: DeclaredStatement;
  /** Set where it goes out as text: the statement that it was before. */
  readonly first?: Statement<object>;
}

/**
 * One SQL statement with its bind values, made by the `sql` template or by calling a declared statement. It doesn't
 * change and may be used again in another transaction. Its values are not shown when it is logged.
 */
export class Statement<Row extends object = UntypedRow> {
  /** Exists for the type checker alone. */
  declare readonly [rowType]: Row;
  /** The text as PostgreSQL gets it, with `$1`, `$2`, … for the values. */
  readonly text: string;
  /** What is sent instead of the text, of a declared statement. */
  declare readonly name?: string;
  readonly #params: readonly (Value | Reference)[];
  readonly #origin: StatementOrigin | undefined;

  /** For this package's own use: the `sql` template makes statements, and `callable` does. */
  constructor(text: string, params: readonly (Value | Reference)[], origin?: StatementOrigin) {
    this.text = text;
    this.#params = params;
    this.#origin = origin;
    if (origin !== undefined && origin.first === undefined) this.name = origin.declared.name;
  }

  /** For this package's own use. */
  params(): readonly (Value | Reference)[] {
    return this.#params;
  }

  /** For this package's own use. */
  declared(): DeclaredStatement | undefined {
    return this.#origin?.declared;
  }

  /** For this package's own use: one object for a statement and for what `asSql` makes of it. */
  identity(): Statement<object> {
    return this.#origin?.first ?? this;
  }

  /** For this package's own use. */
  source(): { readonly case: "name" | "sql"; readonly value: string } {
    return this.name === undefined ? { case: "sql", value: this.text } : { case: "name", value: this.name };
  }

  /**
   * The same statement with the same values, to be sent as text: for an owner that doesn't know the name
   * (UNKNOWN_STATEMENT) and lets this caller send SQL. References to either stand for both. What the `sql`
   * template made is given back as it is.
   */
  asSql(): Statement<Row> {
    if (this.#origin === undefined || this.name === undefined) return this;
    return new Statement<Row>(this.text, this.#params, { declared: this.#origin.declared, first: this });
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
