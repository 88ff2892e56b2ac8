import { readFileSync } from "node:fs";
import { parsePolicy } from "../db-proxy/policy/parse-policy.ts";
import type { CallerPolicy, Catalogue } from "../db-proxy/policy/policy.ts";

/** The tables of the example policy; `contacts` is there too, and none of its caller's. */
export const exampleTables = `
CREATE TABLE people (id int PRIMARY KEY, name text DEFAULT 'nobody', role text DEFAULT 'none', secret text UNIQUE);
CREATE TABLE channels (id int UNIQUE, contact_id int, address text);
CREATE TABLE notes (id int, body text);
ALTER TABLE people ALTER COLUMN id SET DEFAULT 0;
CREATE DOMAIN some_channel AS channels;
CREATE FUNCTION wipe(int) RETURNS int LANGUAGE sql RETURN $1;
CREATE FUNCTION of_text(text) RETURNS int LANGUAGE sql RETURN 1;
CREATE FUNCTION of_json(jsonb) RETURNS int LANGUAGE sql RETURN 1;
CREATE FUNCTION of_any(anyelement) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION of_channel(channels) RETURNS int LANGUAGE sql RETURN 1;
CREATE FUNCTION of_channels(VARIADIC channels[]) RETURNS int LANGUAGE sql RETURN 1;
CREATE FUNCTION of_channel_or(channels, int DEFAULT 1) RETURNS int LANGUAGE sql RETURN 1`;

/** What of them, and of PostgreSQL's own, could be called as if it were a column. */
export const exampleCatalogue: Catalogue = {
  tables: new Map([
    ["people", new Set(["id", "name", "role", "secret"])],
    ["channels", new Set(["id", "contact_id", "address"])],
    ["notes", new Set(["id", "body"])],
  ]),
  functions: new Set(),
  rowFunctions: new Set(
    `some_channel of_any of_channel of_channels of_channel_or
     pg_typeof pg_column_size quote_literal record_out lower row_to_json address`.split(/\s+/),
  ),
};

export const examplePolicy = parsePolicy(`
version: 1
callers:
  anonymous:
    sql: true
    functions: [next_number]
    tables:
      people: { select: [id, name, role], insert: [id, name], update: [name] }
      channels: { select: all, insert: all, update: all, delete: true }
      notes: { select: [id, body] }
`);

/** What the policy above says, in PostgreSQL's own words. */
export function grantsTo(role: string): string {
  return `
GRANT USAGE ON SCHEMA public TO ${role};
GRANT SELECT (id, name, role), INSERT (id, name), UPDATE (name) ON people TO ${role};
GRANT ALL ON channels TO ${role};
GRANT SELECT (id, body) ON notes TO ${role}`;
}

export function exampleCaller(): CallerPolicy {
  const caller = examplePolicy.callers.get("anonymous");
  if (caller === undefined) throw new Error("The example policy has no caller.");
  return caller;
}

export interface HostileStatement {
  readonly sql: string;
  readonly why: string;
  readonly layer: "grammar" | "tree";
  /** What refuses it without the layer, too: the database role's rights, or PostgreSQL whoever asks. */
  readonly beneath: "role" | "server" | undefined;
}

export function readHostileStatements(): readonly HostileStatement[] {
  return sections("hostile-statements.txt").flatMap(({ title, lines }) => {
    const found = /^(?<layer>grammar|tree)(?:, (?<beneath>role|server))?: (?<why>.+)$/.exec(title)?.groups;
    if (found === undefined) throw new Error(`Not a layer: ${title}`);
    return lines.map((sql) => ({ sql, ...found }) as HostileStatement);
  });
}

/** Statements that the example policy lets through. */
export function readAllowedStatements(): readonly string[] {
  return sections("allowed-statements.txt").flatMap(({ lines }) => lines);
}

/** How many parameters a statement of the example texts, or of their mutations, has. */
export function countParams(sql: string): number {
  return Math.max(0, ...[...sql.matchAll(/\$(\d)/g)].map(([, number]) => Number(number)));
}

/** What stands under the headings of a file beside this one. */
function sections(file: string): readonly { readonly title: string; readonly lines: readonly string[] }[] {
  const text = readFileSync(new URL(file, import.meta.url), "utf8");
  return text
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const [title = "", ...lines] = section.split("\n");
      return { title, lines: lines.filter((line) => line !== "") };
    });
}
