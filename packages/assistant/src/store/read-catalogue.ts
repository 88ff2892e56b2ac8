import type { Database } from "@tandem/postgres";
import type { Catalogue } from "../db-proxy/policy/policy.ts";

/** Reads what the database has now: with tables count views, and with functions all that is called like one. */
export async function readCatalogue({ sql }: Pick<Database, "sql">): Promise<Catalogue> {
  const tables = await sql<{ table: string; columns: string[] }>`
    SELECT c.relname AS table, array_agg(a.attname::text ORDER BY a.attnum) AS columns
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
     GROUP BY c.oid`;
  const functions = await sql<{ name: string }>`
    SELECT DISTINCT proname::text AS name FROM pg_catalog.pg_proc
     WHERE pronamespace IN ('pg_catalog'::regnamespace, 'public'::regnamespace)`;
  // A row fits what isn't a plain type, and what a cast makes of one. A domain may be one over a row.
  const rowFunctions = await sql<{ name: string }>`
    WITH fitting AS (
      SELECT t.oid, t.typname, t.typtype, t.typnamespace, t.oid IN (
          SELECT c.casttarget FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_type s ON s.oid = c.castsource
           WHERE s.typtype <> 'b') AS is_cast
        FROM pg_catalog.pg_type t)
    SELECT p.proname::text AS name
      FROM pg_catalog.pg_proc p JOIN fitting t ON t.oid = p.proargtypes[0]
     WHERE p.pronamespace IN ('pg_catalog'::regnamespace, 'public'::regnamespace)
       AND p.pronargs - p.pronargdefaults <= 1
       AND (t.typtype <> 'b' OR t.is_cast OR p.provariadic <> 0)
    UNION
    SELECT t.typname::text
      FROM fitting t
     WHERE t.typnamespace IN ('pg_catalog'::regnamespace, 'public'::regnamespace)
       AND (t.is_cast OR t.oid IN (
         SELECT d.oid FROM pg_catalog.pg_type d JOIN pg_catalog.pg_type b ON b.oid = d.typbasetype
          WHERE b.typtype <> 'b'))`;
  const names = (rows: readonly { readonly name: string }[]): ReadonlySet<string> =>
    new Set(rows.map(({ name }) => name));
  return {
    tables: new Map(tables.map(({ table, columns }) => [table, new Set(columns)])),
    functions: names(functions),
    rowFunctions: names(rowFunctions),
  };
}
