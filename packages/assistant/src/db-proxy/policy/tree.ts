/** The fields of a node of PostgreSQL's tree. */
export type Fields = Readonly<Record<string, unknown>>;

/** A statement holds something that nobody may use; the message is the sentence that says so. */
export class Refusal extends Error {
  override readonly name = "Refusal";
}

/** The kind and the fields of a node, which the tree writes as an object with one key. */
export function nodeOf(value: unknown): readonly [kind: string, fields: Fields] {
  const [entry, ...more] = Object.entries(fieldsOf(value));
  if (entry === undefined || more.length > 0) throw new Refusal("The statement holds something unknown.");
  return [entry[0], fieldsOf(entry[1])];
}

/** The fields of a node that is of a certain kind, and has none but those that are known. */
export function fieldsOfKind(kind: string, value: unknown, known: string): Fields {
  const [found, fields] = nodeOf(value);
  if (found !== kind) throw notKnown(found);
  assertOnly(kind, fields, known);
  return fields;
}

export function fieldsOf(value: unknown): Fields {
  if (!isFields(value)) throw new Refusal("The statement holds something unknown.");
  return value;
}

/** What the tree leaves out is empty. */
export function listOf(value: unknown): readonly unknown[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new Refusal("The statement holds something unknown.");
  return value;
}

/** "" for what the tree leaves out. */
export function textOf(value: unknown): string {
  if (value === undefined) return "";
  if (typeof value !== "string") throw new Refusal("The statement holds something unknown.");
  return value;
}

/** The parts of a name, as in `pg_catalog.lower`. */
export function namesOf(value: unknown): readonly string[] {
  return listOf(value).map((part) => {
    const [kind, { sval }] = nodeOf(part);
    if (kind !== "String") throw new Refusal("The statement holds a name that is not known here.");
    return textOf(sval);
  });
}

/**
 * Refuses a node with a field that its reader doesn't look at: a newer PostgreSQL may give it a meaning.
 *
 * @param known their names, as words of a text
 */
export function assertOnly(kind: string, fields: Fields, known: string): void {
  const names = words(known);
  const unknown = Object.keys(fields).find((name) => !names.includes(name));
  if (unknown !== undefined) throw notKnown(`${kind} with ${unknown}`);
}

export function notKnown(what: string): Refusal {
  return new Refusal(`The statement holds a part that may not stand here (${what}).`);
}

/** Of a text, by the space between them. */
export function words(text: string): readonly string[] {
  return text.trim().split(/\s+/);
}

/** A name in a sentence; what is longer than a name of PostgreSQL's is cut. */
export function quote(name: string): string {
  return JSON.stringify(name.slice(0, 63));
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
