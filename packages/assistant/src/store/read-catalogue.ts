import type { Database } from "@tandem/postgres";

/** The tables of the schema public, views included, with their columns. */
export async function readCatalogue({ sql }: Database): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const rows = await sql<{ table: string; columns: string[] }>`
    SELECT c.relname AS table, array_agg(a.attname::text ORDER BY a.attnum) AS columns
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
     GROUP BY c.oid`;
  return new Map(rows.map(({ table, columns }) => [table, new Set(columns)]));
}
