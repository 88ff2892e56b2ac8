import { type DeclaredStatement, type DeclaredType, fieldsOf, typeText } from "@tandem/statements";
import { MalformedAnswerError } from "../malformed-answer-error.ts";

/**
 * Holds an answer against what its statement was declared to return, which the types of its rows rest on. The owner
 * has done so with its own declaration before it answered: this finds an owner of another version, whose text is
 * another one under the same name. Columns beyond the declared ones are none of its concern.
 *
 * @throws MalformedAnswerError for a column that is missing, or of another type
 */
export function resultCheck(
  { name: statement, result }: DeclaredStatement,
  columns: readonly { readonly name: string; readonly type: string }[],
): (values: readonly unknown[]) => void {
  const checked = fieldsOf(result).map(({ name, type }) => {
    const index = columns.findLastIndex((column) => column.name === name);
    const found = columns[index]?.type;
    if (found === undefined) {
      throw new MalformedAnswerError(`the answer of ${statement} has no column "${name}"`);
    }
    if (!isNameOf(found, type)) {
      throw new MalformedAnswerError(
        `the answer of ${statement} has the column "${name}" as ${found}, where ${typeText(type)} is declared`,
      );
    }
    return { name, type, index };
  });
  return (values) => {
    for (const { name, type, index } of checked) {
      if (fits(values[index], type)) continue;
      throw new MalformedAnswerError(
        `the answer of ${statement} has a value in "${name}" that ${typeText(type)} as declared doesn't have`,
      );
    }
  };
}

// PostgreSQL calls an array by its element and a _ before it, or several where the name was taken.
function isNameOf(found: string, { name, list }: DeclaredType): boolean {
  return list ? found.startsWith("_") && found.replace(/^_+/, "") === name : found === name;
}

function fits(value: unknown, { name, list, nullable }: DeclaredType): boolean {
  if (value === null) return nullable || JSON_TYPES.has(name);
  if (!list) return true;
  return Array.isArray(value) && (JSON_TYPES.has(name) || !value.some((item) => Array.isArray(item)));
}

// JSON's null looks the same.
const JSON_TYPES: ReadonlySet<string> = new Set(["json", "jsonb"]);
