import { type DeclaredTypes, parseType } from "./declared-types.ts";
import { placeholdersOf } from "./placeholders.ts";

/**
 * A statement that the owner of a database offers by its name. It stands once: the owner registers it, its callers
 * call it, and both know from it what goes in and what comes out.
 */
export interface DeclaredStatement<
  Params extends DeclaredTypes = DeclaredTypes,
  Result extends DeclaredTypes = DeclaredTypes,
> {
  /** `contacts.put`: all that crosses the wire beside the values. */
  readonly name: string;
  /** One SELECT, INSERT, UPDATE, DELETE or MERGE, with `$1`, `$2`, … for its parameters. */
  readonly sql: string;
  /** In the order of `$1`, `$2`, …. */
  readonly params: Params;
  /** Every column that it returns; none where it returns no rows. */
  readonly result: Result;
}

/** No parameters, or no columns. */
// oxlint-disable-next-line typescript/no-generated-empty-object-type -- that is what it is
type None = Record<never, never>;

const NAME = /^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$/;
const MAX_NAME_LENGTH = 100;
// A name of digits would change its place among the others.
const PARAM = /^[A-Za-z_]\w*$/;

/**
 * Declares a statement.
 *
 * What it takes and returns belongs to its name for ever: a caller of last month must still be understood. A
 * statement that takes or returns something else is another one, with another name.
 *
 * @throws TypeError for what can be seen to be wrong without a database: the name, a type, a number of parameters
 * that isn't that of the text
 */
export function defineStatement<
  const Params extends DeclaredTypes = None,
  const Result extends DeclaredTypes = None,
>(declaration: {
  readonly name: string;
  readonly sql: string;
  readonly params?: Params;
  readonly result?: Result;
}): DeclaredStatement<Params, Result> {
  const { name, sql } = declaration;
  if (typeof name !== "string" || !NAME.test(name) || name.length > MAX_NAME_LENGTH) {
    throw new TypeError(
      `A statement's name is an area and what is done in it, as in "contacts.put", of at most ${MAX_NAME_LENGTH} letters, digits and _.`,
    );
  }
  const params = copy(name, "parameter", declaration.params);
  const result = copy(name, "column", declaration.result);
  const wrong = Object.keys(params).find((param) => !PARAM.test(param));
  if (wrong !== undefined) {
    throw new TypeError(`${name}: the parameter "${wrong}" needs a name such as "displayName".`);
  }
  if (typeof sql !== "string" || sql.trim() === "" || sql.includes("\0")) {
    throw new TypeError(`${name}: the sql is a text that isn't empty, and has no NUL character.`);
  }
  assertPlaceholders(name, sql, Object.keys(params));
  return Object.freeze({ name, sql, params: params as Params, result: result as Result });
}

function copy(
  name: string,
  what: "parameter" | "column",
  types: Readonly<Record<string, unknown>> = {},
): DeclaredTypes {
  for (const [field, type] of Object.entries(types)) {
    try {
      parseType(type);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new TypeError(`${name}: the type of the ${what} "${field}", ${why}.`, { cause: error });
    }
  }
  return Object.freeze({ ...types }) as DeclaredTypes;
}

function assertPlaceholders(name: string, sql: string, params: readonly string[]): void {
  const used = placeholdersOf(sql);
  if (used.has(0)) throw new TypeError(`${name}: the text has $0; its parameters begin with $1.`);
  const unused = params.findIndex((_, index) => !used.has(index + 1));
  if (unused >= 0) {
    throw new TypeError(`${name}: the text has no $${unused + 1}, which would be "${params[unused]}".`);
  }
  const undeclared = [...used].find((number) => number > params.length);
  if (undeclared !== undefined) {
    throw new TypeError(
      `${name}: the text has $${undeclared}, and ${params.length} parameters are declared.`,
    );
  }
}
