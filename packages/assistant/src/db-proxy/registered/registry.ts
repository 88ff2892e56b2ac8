import { HandlerError } from "@tandem/rpc";
import { type DeclaredStatement, type Field, fieldsOf } from "@tandem/statements";
import type { StatementCheck } from "../statement-check.ts";
import { RegistrationError } from "./registration-error.ts";

/** A statement that callers can run by its name. */
export interface RegisteredStatement {
  readonly name: string;
  readonly sql: string;
  /** In the order of $1, $2, …. */
  readonly params: readonly Field[];
  readonly columns: readonly Field[];
  /** Whether it is a SELECT that neither writes nor locks, as far as its text tells: a query may be that. */
  readonly reads: boolean;
}

export type Registry = ReadonlyMap<string, RegisteredStatement>;

/**
 * Registers statements by their names. Fails with a RegistrationError that lists every problem: a name that stands
 * for two statements, a text that may not be a step. What only the database knows is `checkRegistered`'s.
 */
export async function createRegistry(
  declarations: readonly DeclaredStatement[],
  statements: StatementCheck,
): Promise<Registry> {
  const registry = new Map<string, RegisteredStatement>();
  const problems: string[] = [];
  for (const declaration of declarations) {
    const { name } = declaration;
    const before = registry.get(name);
    if (before !== undefined) {
      const difference = differenceOf(before, toRegistered(declaration, before));
      if (difference === undefined) continue;
      problems.push(`${name} is registered twice, with other ${difference}: one of them needs another name.`);
      continue;
    }
    const read = await statements.readOwn(declaration.sql).catch((error: unknown) => {
      if (!(error instanceof HandlerError)) throw error;
      problems.push(`${name}: ${error.message}`);
      return { reads: false };
    });
    registry.set(name, toRegistered(declaration, read));
  }
  if (problems.length > 0) throw new RegistrationError(problems);
  return registry;
}

function toRegistered(
  { name, sql, params, result }: DeclaredStatement,
  { reads }: { readonly reads: boolean },
): RegisteredStatement {
  return { name, sql, params: fieldsOf(params), columns: fieldsOf(result), reads };
}

function differenceOf(one: RegisteredStatement, other: RegisteredStatement): string | undefined {
  if (one.sql !== other.sql) return "SQL";
  if (JSON.stringify(one.params) !== JSON.stringify(other.params)) return "parameters";
  if (JSON.stringify(one.columns) !== JSON.stringify(other.columns)) return "columns";
  return undefined;
}
