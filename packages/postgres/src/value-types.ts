import { parse } from "postgres-array";
import type postgres from "postgres";

/** Where a client of `postgres` keeps what turns PostgreSQL's text into values, and values into text, by type. */
export type ValueTypes = Pick<postgres.ParsedOptions, "parsers" | "serializers">;

/** Gives the array types of the database, for `readArrays`. */
export const arrayTypesStatement =
  "SELECT oid, typarray FROM pg_catalog.pg_type WHERE typarray <> 0 AND typdelim = ','";

/**
 * Dates and times come and go as PostgreSQL's text (ISO, UTC): a Date has milliseconds where PostgreSQL has
 * microseconds, and no infinity. A Date is taken as a parameter all the same. JSON that is text already is
 * sent as it is.
 */
export function keepDatesAsText({ parsers, serializers }: ValueTypes): void {
  for (const type of [1082, 1114, 1184]) {
    parsers[type] = (text: unknown) => text;
    serializers[type] = (value: unknown) => (value instanceof Date ? value.toISOString() : value);
  }
  for (const type of [114, 3802]) {
    serializers[type] = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
  }
}

/** Arrays come as lists of what their elements come as. What `postgres` does of the kind takes NULL for a text. */
export function readArrays(
  { parsers }: ValueTypes,
  rows: readonly Readonly<Record<string, unknown>>[],
): void {
  for (const { oid, typarray } of rows) {
    const element = parsers[Number(oid)];
    parsers[Number(typarray)] = (text: string) =>
      element === undefined ? parse(text) : parse(text, element);
  }
}
