import { type DeclaredStatement, type DeclaredTypes, fieldsOf } from "@tandem/statements";
import { Reference, Statement } from "../statement.ts";
import { toDeclaredValue } from "./to-declared-value.ts";
import type { DeclaredRow, ParamsOf } from "./values-of.ts";

/**
 * Makes a function of a declared statement: called with its parameters by name, it gives a statement for a
 * transaction or a query. Its name goes to the owner, with the values as the types that it declares.
 *
 * The function throws, before anything is sent:
 *
 * @throws TypeError where a parameter is missing, not one of the statement's, or can't be of its type
 * @throws RangeError where it is of its type and out of bounds
 */
export function callable<Params extends DeclaredTypes, Result extends DeclaredTypes>(
  declared: DeclaredStatement<Params, Result>,
): (values: ParamsOf<Params>) => Statement<DeclaredRow<Result>> {
  const fields = fieldsOf(declared.params);
  const names = new Set(fields.map(({ name }) => name));
  return (values) => {
    const given = toGiven(values, declared);
    const unknown = [...given.keys()].find((name) => !names.has(name));
    if (unknown !== undefined) {
      const known = [...names].join(", ") || "none";
      throw new TypeError(`${declared.name} has no parameter "${unknown}"; it has: ${known}.`);
    }
    const params = fields.map(({ name, type }) => {
      const subject = `The parameter "${name}" of ${declared.name}`;
      const value = given.get(name);
      if (value === undefined) {
        throw new TypeError(`${subject} is missing${type.nullable ? ": say null for SQL's NULL" : ""}.`);
      }
      return value instanceof Reference ? value : toDeclaredValue(value, type, subject);
    });
    return new Statement(declared.sql, params, { declared });
  };
}

// Callers in plain JavaScript can pass what the types exclude.
function toGiven(values: unknown, { name }: DeclaredStatement): ReadonlyMap<string, unknown> {
  if (typeof values === "object" && values !== null) return new Map(Object.entries(values));
  throw new TypeError(`${name} takes its parameters by name, in an object.`);
}
