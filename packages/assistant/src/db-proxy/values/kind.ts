/**
 * How a value of a type travels, named as in the contract's Value. Every type that has no kind of its own
 * travels as text, in PostgreSQL's text form.
 */
export type ScalarKind = "bool" | "int" | "double" | "text" | "bytes" | "timestamp" | "numeric" | "json";

/** A type of PostgreSQL's, as far as values go. */
export interface PgType {
  /** PostgreSQL's own name: "int8", "_text". */
  readonly name: string;
  readonly kind: ScalarKind | "list";
  /** The type of a list's elements, and what stands between them in its text. */
  readonly element?: PgType;
  readonly delimiter?: string;
}

/** What is taken for the type of whatever has none. */
export const TEXT: PgType = { name: "text", kind: "text" };

const kindByName: ReadonlyMap<string, ScalarKind> = new Map([
  ["bool", "bool"],
  ["int2", "int"],
  ["int4", "int"],
  ["int8", "int"],
  ["float4", "double"],
  ["float8", "double"],
  ["bytea", "bytes"],
  ["timestamptz", "timestamp"],
  ["numeric", "numeric"],
  ["json", "json"],
  ["jsonb", "json"],
]);

export function kindOf(typeName: string): ScalarKind {
  return kindByName.get(typeName) ?? "text";
}
