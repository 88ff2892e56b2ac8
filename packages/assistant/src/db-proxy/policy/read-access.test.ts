import { loadModule, parseSync } from "libpg-query";
import { beforeAll, describe, expect, it } from "vitest";
import { readAllowedStatements, readHostileStatements } from "../../testing/example-policy.ts";
import { createSqlMutations } from "../../testing/mutate-sql.ts";
import type { Access, Verb } from "./access.ts";
import { builtInFunctions } from "./built-in-functions.ts";
import { readAccess } from "./read-access.ts";

const MUTATIONS = 20_000;
const allowed = readAllowedStatements();
const hostile = readHostileStatements().map(({ sql }) => sql);

beforeAll(loadModule);

function parse(sql: string): unknown {
  const { stmts = [] } = parseSync(sql) as { readonly stmts?: readonly { readonly stmt: unknown }[] };
  return stmts[0]?.stmt;
}

type Fields = Readonly<Record<string, unknown>>;

/** Every object in a tree, whatever it is: it knows nothing of what they mean. */
function* objectsIn(value: unknown): Generator<Fields> {
  if (Array.isArray(value)) for (const each of value) yield* objectsIn(each);
  else if (typeof value === "object" && value !== null) {
    yield { ...value };
    for (const each of Object.values(value)) yield* objectsIn(each);
  }
}

/** What a tree names and the access that was read off it doesn't. */
function missed(tree: unknown, access: Access): readonly string[] {
  const found: string[] = [];
  const objects = [...objectsIn(tree)];
  const ctes = new Set(objects.map(({ ctename }) => ctename));
  const locked = new Set(
    objects.flatMap(({ lockedRels }) => [...objectsIn(lockedRels)].map((each) => each["relname"])),
  );
  for (const each of objects) {
    const { relname, schemaname, funcname, names, fields } = each;
    if (typeof relname === "string" && !ctes.has(relname) && !locked.has(relname)) {
      if (!access.tables.has(relname)) found.push(`table ${relname}`);
      if (schemaname !== undefined && schemaname !== "public") found.push(`schema of ${relname}`);
    }
    if (Array.isArray(funcname)) {
      const parts = [...objectsIn(funcname)].flatMap(({ sval }) => sval ?? []).map(String);
      const name = parts.at(-1) ?? "";
      const known = builtInFunctions.has(name) || access.functions.has(name);
      if (!known && !access.functions.has(`public.${name}`)) found.push(`function ${name}`);
    }
    const parts = Array.isArray(fields) ? fields.map((part) => [...objectsIn(part)][1]?.["sval"]) : [];
    const [last] = parts.slice(-1);
    if (parts.length > 1 && typeof last === "string" && !builtInFunctions.has(last)) {
      const { tables, rows, values } = access.behind;
      const behind = [rows, values, ...tables.values()];
      if (!behind.some((known) => known.has(last))) found.push(`name ${last}`);
    }
    if (Array.isArray(names) && JSON.stringify(names).includes('"reg'))
      found.push(`type ${JSON.stringify(names)}`);
    for (const [kind, verb] of verbs) {
      const target = [...objectsIn(each[kind])][0]?.["relation"];
      if (target === undefined) continue;
      const table = String([...objectsIn(target)][0]?.["relname"]);
      if (access.tables.get(table)?.[verb] === undefined) found.push(`${verb} of ${table}`);
    }
  }
  return found;
}

const verbs: readonly (readonly [kind: string, verb: Verb])[] = [
  ["InsertStmt", "insert"],
  ["UpdateStmt", "update"],
  ["DeleteStmt", "delete"],
  ["MergeStmt", "select"],
];

describe("what is read off a tree", () => {
  it(`misses nothing that the tree names, in ${MUTATIONS} mutations of valid and hostile statements`, () => {
    const next = createSqlMutations([...allowed, ...hostile], 5);
    let read = 0;
    const found: unknown[] = [];
    for (let count = 0; count < MUTATIONS; count += 1) {
      const sql = next();
      let tree: unknown;
      try {
        tree = parse(sql);
      } catch {
        continue;
      }
      const access = readAccess(tree);
      if ("refused" in access) continue;
      read += 1;
      const names = missed(tree, access);
      if (names.length > 0) found.push({ sql, names });
    }
    expect(found).toEqual([]);
    // Most mutations are no SQL; those that are must be enough to mean something.
    expect(read).toBeGreaterThan(MUTATIONS / 20);
  });

  it.each(allowed)("is nothing where any part of it is unknown: %s", (sql) => {
    const text = JSON.stringify(parse(sql));
    // Each node by the place where its kind is written: capital letters, and an object behind it.
    const kinds = [...text.matchAll(/"(?!String|JsonFormat)([A-Z]\w+)":\{/g)];
    expect(kinds.length).toBeGreaterThan(0);
    for (const { index, 0: written } of kinds) {
      const other = `${text.slice(0, index)}"Unknown":{${text.slice(index + written.length)}`;
      expect(readAccess(JSON.parse(other)), written).toHaveProperty("refused");
      if (/A_Const|ParamRef|SetToDefault|A_Star|Integer|SQLValue/.test(written)) continue;
      const field = `${text.slice(0, index)}${written}"unknown":{}${text.startsWith("}", index + written.length) ? "" : ","}${text.slice(index + written.length)}`;
      expect(readAccess(JSON.parse(field)), written).toHaveProperty("refused");
    }
  });
});
