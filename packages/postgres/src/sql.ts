import type { Statement, ResultRows } from "./connection.ts";

/**
 * Rows as objects by column name. int8 is a bigint; dates and times are text, lossless; arrays are lists.
 */
export type Rows<T extends object> = readonly T[] & { readonly count: number };

/**
 * Runs one statement, with what is interpolated as bind values. Outside of a transaction it commits by itself.
 * It fails with the driver's error, or with OVERLOADED before anything was sent: `translateDatabaseError` makes
 * a HandlerError of either.
 */
export type Sql = <T extends object = Readonly<Record<string, unknown>>>(
  text: TemplateStringsArray,
  ...values: readonly SqlValue[]
) => Promise<Rows<T>>;

/** What can be interpolated into `sql`. */
export type SqlValue = string | number | bigint | boolean | Date | Uint8Array | null | SqlList;

/** A value of an array type, to any depth. */
export type SqlList = readonly (string | number | bigint | boolean | Date | null | SqlList)[];

/** As `Sql` does, for a statement that is given as its text and its values. */
export type RunStatement = (statement: Statement) => Promise<ResultRows>;

/** Statements are kept prepared, since a template's text is always the same. */
export function createSql(run: RunStatement): Sql {
  return <T extends object>(strings: TemplateStringsArray, ...interpolated: readonly SqlValue[]) => {
    const text = strings.reduce((left, right, index) => `${left}$${index}${right}`);
    const values = interpolated.map((value) => (isList(value) ? toArrayText(value) : value));
    // The statement's author says what its rows are. Awaiting here would hide from `run` who waits for it.
    return run({ text, values, prepare: true }) as Promise<unknown> as Promise<Rows<T>>;
  };
}

// `postgres` takes the type of a list's first element for the type of the list, so it is given the text that
// PostgreSQL reads: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
function toArrayText(list: SqlList): string {
  const elements = list.map((element) => {
    if (isList(element)) return toArrayText(element);
    const text = element instanceof Date ? element.toISOString() : String(element);
    return element === null ? "NULL" : `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
  });
  return `{${elements.join(",")}}`;
}

function isList(value: SqlValue): value is SqlList {
  return Array.isArray(value);
}
