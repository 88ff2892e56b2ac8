import { CallerNameError, checkCallerName } from "@tandem/rpc";
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import { isNeverAllowed } from "./built-in-functions.ts";
import { isCatalogName } from "./judge.ts";
import type { CallerPolicy, Catalogue, Columns, Policy, TablePolicy } from "./policy.ts";

/** A policy file that can't be used: each problem names its line and key, and says what to do. */
export class PolicyError extends Error {
  override readonly name = "PolicyError";
  readonly problems: readonly string[];

  /** @param file its name, or what else to call it */
  constructor(file: string, problems: readonly string[]) {
    super(`${file} can't be used as a policy:\n${problems.map((each) => `  ${each}`).join("\n")}`);
    this.problems = problems;
  }
}

export interface PolicyOptions {
  /** The name of the file. */
  readonly file?: string;
  /** The database's own: tables, columns and functions that it doesn't have are problems. */
  readonly catalogue?: Catalogue;
  /** The names of the registered statements: others are problems. */
  readonly statements?: ReadonlySet<string>;
}

/** Reads a policy file's text. Fails with a PolicyError that lists every problem. */
export function parsePolicy(text: string, options: PolicyOptions = {}): Policy {
  const { file: name = "The text" } = options;
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: "1.2" });
  const file = createFile(document, lines);
  for (const { code, message, pos } of [...document.errors, ...document.warnings]) {
    const key = /^[^:\n]*/.exec(text.slice(pos[0]))?.[0] ?? "";
    const why = code === "DUPLICATE_KEY" ? `${key} stands there twice: keep one` : message;
    file.problems.push(`line ${lines.linePos(pos[0]).line}: ${why}.`);
  }
  if (file.problems.length > 0) throw new PolicyError(name, file.problems);
  const policy = parseFile({ value: document.contents, key: "" }, file, options);
  if (file.problems.length > 0) throw new PolicyError(name, file.problems);
  return policy;
}

/** A place in the file. */
interface Place {
  readonly value: unknown;
  /** callers.gateway.tables.contacts */
  readonly key: string;
  /** Where the value itself is empty: of the key. */
  readonly start?: number | undefined;
}

interface File {
  readonly problems: string[];
  problem(place: Place, why: string): void;
}

function createFile({ contents }: Document, lines: LineCounter): File {
  const problems: string[] = [];
  return {
    problems,
    problem: ({ value, key, start }, why) => {
      const at = start ?? startOf(value) ?? startOf(contents) ?? 0;
      problems.push(`line ${lines.linePos(at).line}: ${key === "" ? "the file" : key} ${why}.`);
    },
  };
}

function startOf(value: unknown): number | undefined {
  return isMap(value) || isSeq(value) || isScalar(value) || isAlias(value) ? value.range?.[0] : undefined;
}

function parseFile(place: Place, file: File, options: PolicyOptions): Policy {
  const fields = parseFields(place, file, ["version", "callers"]);
  const version = fields.get("version");
  const callers = fields.get("callers");
  // What is no keys at all is one problem.
  if (!isMap(place.value)) return { version: 1, callers: new Map() };
  if (version === undefined) file.problem(place, "has no version: begin it with `version: 1`");
  else if (!isScalar(version.value) || version.value.value !== 1) {
    file.problem(version, "is none that is known here: write 1");
  }
  if (callers === undefined)
    file.problem(place, "has no callers: write `callers:` and each caller's name below");
  return {
    version: 1,
    callers: parseEntries(callers, file, (caller, name) => {
      const why = whyNoCaller(name);
      if (why !== undefined) file.problem(caller, `can't be a caller's name: ${why}`);
      return parseCaller(caller, file, options);
    }),
  };
}

/** Nobody would ever be called so. */
function whyNoCaller(name: string): string | undefined {
  try {
    checkCallerName(name);
    return undefined;
  } catch (error) {
    if (error instanceof CallerNameError) return error.message;
    throw error;
  }
}

function parseCaller(place: Place, file: File, { catalogue, statements }: PolicyOptions): CallerPolicy {
  const fields = parseFields(place, file, ["sql", "statements", "tables", "functions"]);
  const functions = parseNames(fields.get("functions"), file);
  for (const name of functions.values()) {
    if (!/^[a-z_][a-z0-9_]*$/.test(name.text) || isNeverAllowed(name.text)) {
      file.problem(name, "can't be allowed by a policy: leave it out");
    } else if (catalogue?.functions.has(name.text) === false && !ofTheGrammar.has(name.text)) {
      file.problem(
        name,
        "is no function of the database: write one of pg_catalog or public, without its schema",
      );
    }
  }
  return {
    sql: parseFlag(fields.get("sql"), file),
    statements: parseStatements(fields.get("statements"), file, statements),
    tables: parseTables(fields.get("tables"), file, catalogue),
    functions: new Set(functions.keys()),
  };
}

// Calls without brackets that are no functions of the catalog's.
const ofTheGrammar: ReadonlySet<string> = new Set(["current_role", "user", "current_catalog"]);

function parseTables(
  place: Place | undefined,
  file: File,
  catalogue: Catalogue | undefined,
): CallerPolicy["tables"] {
  if (isScalar(place?.value) && place.value.value === "all") return "all";
  return parseEntries(place, file, (table, name) => {
    const columns = catalogue?.tables.get(name);
    if (isCatalogName(name)) {
      file.problem(table, "is a name of PostgreSQL's own tables: leave it out");
    } else if (catalogue !== undefined && columns === undefined) {
      file.problem(table, `is no table of the database: it has ${list(catalogue.tables.keys())}`);
    }
    return parseTable(table, file, columns);
  });
}

function parseTable(place: Place, file: File, known: ReadonlySet<string> | undefined): TablePolicy {
  const fields = parseFields(place, file, ["select", "insert", "update", "delete"]);
  if (fields.size === 0)
    file.problem(place, "allows nothing: write select, insert, update or delete below it");
  const columns = (verb: "select" | "insert" | "update"): { [name in typeof verb]?: Columns } => {
    const field = fields.get(verb);
    return field === undefined ? {} : { [verb]: parseColumns(field, file, known) };
  };
  return {
    ...columns("select"),
    ...columns("insert"),
    ...columns("update"),
    delete: parseFlag(fields.get("delete"), file),
  };
}

function parseColumns(place: Place, file: File, known: ReadonlySet<string> | undefined): Columns {
  if (isScalar(place.value) && place.value.value === "all") return "all";
  const names = parseNames(place, file, "a list of columns, or all");
  for (const name of names.values()) {
    if (known === undefined || known.has(name.text)) continue;
    file.problem(name, `is no column of the table: it has ${list(known)}`);
  }
  return new Set(names.keys());
}

function parseStatements(
  place: Place | undefined,
  file: File,
  known: ReadonlySet<string> | undefined,
): CallerPolicy["statements"] {
  if (isScalar(place?.value) && place.value.value === "all") return "all";
  const names = parseNames(place, file, "a list of names, as in [contacts.put], or all");
  for (const name of names.values()) {
    if (known === undefined || known.has(name.text)) continue;
    file.problem(name, `is no registered statement: there are ${list(known)}`);
  }
  return new Set(names.keys());
}

function parseFlag(place: Place | undefined, file: File): boolean {
  if (place === undefined) return false;
  if (isScalar(place.value) && typeof place.value.value === "boolean") return place.value.value;
  file.problem(place, "must be true or false");
  return false;
}

interface Name extends Place {
  readonly text: string;
}

function parseNames(
  place: Place | undefined,
  file: File,
  expected = "a list of names, as in [first, second]",
): ReadonlyMap<string, Name> {
  const names = new Map<string, Name>();
  if (place === undefined) return names;
  if (!isSeq(place.value)) {
    file.problem(place, `must be ${expected}`);
    return names;
  }
  for (const [index, value] of place.value.items.entries()) {
    const text: unknown = isScalar(value) ? value.value : undefined;
    const name = { value, key: `${place.key}[${index}]`, start: startOf(value) ?? place.start };
    if (typeof text !== "string" || text === "") file.problem(name, "must be a name: put it in quotes");
    else if (names.has(text)) file.problem(name, `(${text}) stands there twice: keep one`);
    else names.set(text, { ...name, key: `${name.key} (${text})`, text });
  }
  return names;
}

/** What stands under keys that the file's author chooses. */
function parseEntries<T>(
  place: Place | undefined,
  file: File,
  parse: (place: Place, name: string) => T,
): ReadonlyMap<string, T> {
  if (place === undefined) return new Map();
  const entries = [...readMap(place, file)];
  return new Map(entries.map(([name, each]) => [name, parse(each, name)]));
}

function parseFields(place: Place, file: File, known: readonly string[]): ReadonlyMap<string, Place> {
  const fields = readMap(place, file);
  for (const [name, field] of fields) {
    if (!known.includes(name)) file.problem(field, `is not known here: write one of ${known.join(", ")}`);
  }
  return fields;
}

function readMap(place: Place, file: File): ReadonlyMap<string, Place> {
  const { value, key } = place;
  const entries = new Map<string, Place>();
  if (!isMap(value)) {
    file.problem(place, "must be keys with values, one on each line");
    return entries;
  }
  for (const { key: written, value: under } of value.items) {
    const name: unknown = isScalar(written) ? written.value : undefined;
    const start = startOf(written);
    if (typeof name !== "string" || name === "") {
      file.problem({ value: written, key, start }, "has a key that is no name: put it in quotes");
    } else {
      entries.set(name, { value: under, key: key === "" ? name : `${key}.${name}`, start });
    }
  }
  return entries;
}

function list(names: Iterable<string>): string {
  return [...names].join(", ") || "none";
}
