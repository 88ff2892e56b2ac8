/**
 * Names with their types, each as PostgreSQL calls it: `{ id: "uuid", note: "text | null", tags: "text[]" }`.
 * What may be NULL says so; in an array, which has one dimension, any element may be.
 */
export type DeclaredTypes = Readonly<Record<string, string>>;

/** One type of a declaration, taken apart. */
export interface DeclaredType {
  /** PostgreSQL's own name: "int8"; of a list, that of its elements. */
  readonly name: string;
  readonly list: boolean;
  readonly nullable: boolean;
}

/** A parameter, or a column of the result. */
export interface Field {
  readonly name: string;
  readonly type: DeclaredType;
}

/** The parameters in the order of `$1`, `$2`, …, or a result's columns. */
export function fieldsOf(types: DeclaredTypes): readonly Field[] {
  return Object.entries(types).map(([name, type]) => ({ name, type: parseType(type) }));
}

/** How a declaration writes the type, without a word on NULL. */
export function typeText({ name, list }: Pick<DeclaredType, "name" | "list">): string {
  return list ? `${name}[]` : name;
}

const TYPE = /^([A-Za-z]\w*)(\[\])?( \| null)?$/;

/** @throws TypeError where it is none, with what to write instead where that is known */
export function parseType(given: unknown): DeclaredType {
  const text = typeof given === "string" ? given : "";
  const [, name, brackets, orNull] = TYPE.exec(text) ?? [];
  const own = ownNames.get(name ?? text);
  if (own !== undefined) throw new TypeError(`"${text}" is called ${own} by PostgreSQL itself: write that`);
  if (name === undefined) {
    throw new TypeError(
      `"${text}" is no type: write PostgreSQL's name of it, as in "int8", "text[]" or "timestamptz | null"`,
    );
  }
  return { name, list: brackets !== undefined, nullable: orNull !== undefined };
}

// What SQL calls them, and nothing that is looked up by its name.
const ownNames: ReadonlyMap<string, string> = new Map([
  ["boolean", "bool"],
  ["smallint", "int2"],
  ["int", "int4"],
  ["integer", "int4"],
  ["bigint", "int8"],
  ["serial", "int4"],
  ["bigserial", "int8"],
  ["real", "float4"],
  ["float", "float8"],
  ["double precision", "float8"],
  ["decimal", "numeric"],
  ["character varying", "varchar"],
  ["character", "bpchar"],
  ["char", "bpchar"],
  ["timestamp with time zone", "timestamptz"],
]);
