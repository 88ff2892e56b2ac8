import { HandlerError } from "@tandem/rpc";
import type { Described } from "../describe-statement.ts";
import type { Answer } from "../round.ts";
import { mismatchesOf } from "./mismatches.ts";
import type { RegisteredStatement } from "./registry.ts";

// An element that begins with a brace stands in quotes.
const PLAIN_LIST = /^\{(?!\{)/;

type Place = { readonly step?: number };

/** Fails with SCHEMA_MISMATCH, before it is run, where the database is no longer the one of the start's check. */
export function assertAsDeclared(statement: RegisteredStatement, described: Described, place: Place): void {
  const [sentence] = mismatchesOf(statement, described);
  if (sentence !== undefined) throw mismatch(statement, sentence, place);
}

/**
 * Fails with SCHEMA_MISMATCH, before anything is committed, for a NULL in a column that is declared without, and
 * for an array that isn't a plain list: its caller would read something else than the type that it compiled with.
 */
export function assertRowsAsDeclared(
  statement: RegisteredStatement,
  { columns, rows }: { readonly columns: Described["columns"]; readonly rows: Answer["rows"] },
  place: Place,
): void {
  for (const { name, type } of statement.columns) {
    if (type.nullable && !type.list) continue;
    const index = columns.findIndex((column) => column.name === name);
    for (const row of rows) {
      const text = row[index] ?? null;
      if (text === null && !type.nullable) {
        throw mismatch(statement, `its column "${name}" is declared without NULL, and has one.`, place);
      }
      if (text === null || !type.list || PLAIN_LIST.test(text)) continue;
      const why = `its column "${name}" has an array of several dimensions, or with another lower bound than 1.`;
      throw mismatch(statement, why, place);
    }
  }
}

function mismatch({ name }: RegisteredStatement, sentence: string, { step }: Place): HandlerError {
  const message = `${name} is not what its owner declared: ${sentence}`;
  return new HandlerError({ reason: "SCHEMA_MISMATCH", message, ...(step === undefined ? {} : { step }) });
}
