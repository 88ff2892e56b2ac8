import { type DeclaredType, type Field, typeText } from "@tandem/statements";
import type { Described } from "../describe-statement.ts";
import { kindOf, type PgType } from "../values/kind.ts";
import type { RegisteredStatement } from "./registry.ts";

/**
 * In what the database differs from a statement's declaration: sentences that name what, declared and found. Columns
 * that aren't declared are `undeclaredOf`'s.
 */
export function mismatchesOf(
  { params, columns }: Pick<RegisteredStatement, "params" | "columns">,
  described: Described,
): readonly string[] {
  if (params.length !== described.params.length) {
    return [
      `it has ${described.params.length} parameters, and ${params.length} are declared: ${namesOf(params)}.`,
    ];
  }
  return [
    ...params.flatMap(({ name, type }, index) => {
      const found = described.params[index];
      if (found === undefined || isSame(type, found)) return [];
      return [
        `its parameter "${name}" ($${index + 1}) is declared as ${typeText(type)}, and PostgreSQL takes ${textOf(found)}.`,
      ];
    }),
    ...columnMismatches(columns, described.columns),
  ];
}

function columnMismatches(declared: readonly Field[], found: Described["columns"]): readonly string[] {
  const sentences: string[] = [];
  for (const { name, type } of declared) {
    const [first, second] = found.filter((column) => column.name === name);
    if (first === undefined) {
      sentences.push(`its column "${name}" is declared and not there: it returns ${namesOf(found)}.`);
    } else if (second !== undefined) {
      sentences.push(`it returns two columns "${name}": name them apart with AS.`);
    } else if (!isSame(type, first.type)) {
      sentences.push(
        `its column "${name}" is declared as ${typeText(type)}, and PostgreSQL gives ${textOf(first.type)}.`,
      );
    }
  }
  return sentences;
}

/**
 * The columns that a statement returns beyond its declaration. They are its author's to declare; while it runs they
 * harm nobody: a migration may have added one to a table of which it returns all.
 */
export function undeclaredOf(
  { columns }: Pick<RegisteredStatement, "columns">,
  described: Described,
): readonly string[] {
  const known = new Set(columns.map(({ name }) => name));
  return described.columns
    .filter(({ name }) => !known.has(name))
    .map(({ name, type }) => `it returns a column "${name}" (${textOf(type)}) that isn't declared.`);
}

// A type of another schema may have the name of one that has a kind of its own.
function isSame({ name, list }: DeclaredType, found: PgType): boolean {
  const scalar = list ? found.element : found;
  return (found.kind === "list") === list && scalar?.name === name && scalar.kind === kindOf(name);
}

function textOf({ name, element }: PgType): string {
  return element === undefined ? name : typeText({ name: element.name, list: true });
}

function namesOf(fields: readonly { readonly name: string }[]): string {
  return fields.map(({ name }) => name).join(", ") || "none";
}
