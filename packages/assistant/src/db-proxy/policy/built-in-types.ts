import { quote, Refusal, words } from "./tree.ts";

// By the names that the grammar gives them, and those that people write. Not there: reg*, whose input reads
// the catalog; xml, whose input is a language; types of the database's owner, whose input may be a function.
const types: ReadonlySet<string> = new Set(
  words(`
  bool int2 int4 int8 float4 float8 numeric money
  text varchar bpchar char bytea bit varbit uuid
  date time timetz timestamp timestamptz interval
  json jsonb jsonpath inet cidr macaddr macaddr8
  point line lseg box path polygon circle tsvector tsquery
  int4range int8range numrange tsrange tstzrange daterange
  int4multirange int8multirange nummultirange tsmultirange tstzmultirange
  datemultirange`),
);

// Of these the number is a length, to which a value may be filled up.
const typesOfLength: ReadonlySet<string> = new Set(words("char bpchar varchar bit varbit"));
const MAX_LENGTH = 10_000;

/**
 * Refuses a type that isn't one of PostgreSQL's plain ones, or that makes much of little.
 *
 * @param modifiers what stands in brackets behind it; undefined for what is no whole number
 */
export function assertType(names: readonly string[], modifiers: readonly (number | undefined)[]): void {
  const [name] = names.slice(-1);
  const known = names.length === 1 || (names.length === 2 && names[0] === "pg_catalog");
  if (!known || name === undefined || !types.has(name)) {
    throw new Refusal(`The type ${quote(names.join("."))} may not be named: leave the cast out.`);
  }
  if (typesOfLength.has(name) && !modifiers.every((length) => length !== undefined && length <= MAX_LENGTH)) {
    throw new Refusal(`The type ${quote(name)} may have a length of ${MAX_LENGTH} at most.`);
  }
}
