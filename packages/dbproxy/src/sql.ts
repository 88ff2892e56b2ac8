import { Reference, Statement, type UntypedRow } from "./statement.ts";
import { checkText } from "./values/check-text.ts";
import { type SqlValue, toValue } from "./values/to-value.ts";

/**
 * Makes a statement: ``sql`UPDATE t SET a = ${x} WHERE id = ${id}` ``. The text is what stands in the
 * template, with `$1`, `$2`, … where values stand; a value never becomes text. ``sql<{ id: string }>`…` ``
 * says what the rows hold, which nobody checks at run time.
 *
 * In the text `\\` stands for a backslash, and `` \` `` and `\$` for themselves; other escapes are refused,
 * since `\d` in a template would silently lose its backslash.
 *
 * @throws TypeError or RangeError for a value that can't be sent, and for a text that can't have been meant
 */
export function sql<Row extends object = UntypedRow>(
  template: TemplateStringsArray,
  ...values: readonly (SqlValue | Reference)[]
): Statement<Row> {
  if (!Array.isArray(template?.raw)) {
    throw new TypeError("sql is a template's tag: write sql`SELECT …`, not sql(…).");
  }
  const params = values.map((value, index) =>
    value instanceof Reference ? value : toValue(value, `$${index + 1}`),
  );
  return new Statement<Row>(toText(template), params);
}

function toText(template: TemplateStringsArray): string {
  const parts = template.raw.map(unescape);
  let text = "";
  for (const [index, part] of parts.entries()) {
    if (index > 0) {
      if (TOUCHED_AT_END.test(text) || TOUCHED_AT_START.test(part)) throw notApart(index);
      text += `$${index}`;
    }
    text += part;
  }
  if (text.trim() === "") throw new TypeError("The statement is empty.");
  return checkText(text, "The statement");
}

// `a${x}` would be the column a$1, `${x}1` the parameter $11, and `'${x}'` the text "$1".
const TOUCHED_AT_END = /[\w$'"\u{80}-\u{10ffff}]$/u;
const TOUCHED_AT_START = /^[\w$'"\u{80}-\u{10ffff}]/u;
const ESCAPE = /\\([\\`$]?)/g;
const PLACEHOLDER = /(?<![\w$\u{80}-\u{10ffff}])\$\d/u;

function unescape(raw: string): string {
  // Nearly no part has either of what is looked for.
  const part = raw.includes("\\") ? raw.replace(ESCAPE, unescapeOne) : raw;
  if (part.includes("$") && PLACEHOLDER.test(part)) {
    throw new TypeError("A statement's text has a $1 of its own: give the value, or the text, as ${…}.");
  }
  return part;
}

function unescapeOne(_: string, escaped: string): string {
  if (escaped !== "") return escaped;
  throw new TypeError("In a statement's text a backslash is written \\\\: the template drops a single one.");
}

function notApart(position: number): TypeError {
  return new TypeError(
    `$${position} touches a word, a quote or another value: it stands alone, without quotes.`,
  );
}
