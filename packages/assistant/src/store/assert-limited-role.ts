import { type Database, parseDatabaseUrl } from "@tandem/postgres";
import { SettingError } from "@tandem/rpc";

/**
 * Sees to it that the role of a URL, with which callers' statements run, has no rights but those that it was granted
 * one by one: whatever a policy overlooks must end at the role. Fails with a SettingError that names the variable.
 */
export async function assertLimitedRole({ sql }: Database, variable: string, url: string): Promise<void> {
  const { role } = parseDatabaseUrl(url);
  const [found] = await sql<{ powers: string[] }>`
    SELECT array_remove(ARRAY[
      CASE WHEN rolsuper THEN 'is a superuser' END,
      CASE WHEN rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls THEN 'has a right over the whole server' END,
      CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_class WHERE relowner = r.oid)
             OR EXISTS (SELECT FROM pg_catalog.pg_database WHERE datdba = r.oid) THEN 'owns what is in the database' END,
      CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_auth_members WHERE member = r.oid) THEN 'belongs to other roles' END
    ], NULL) AS powers FROM pg_catalog.pg_roles r WHERE rolname = ${role}`;
  const [power] = found?.powers ?? [];
  if (power === undefined) return;
  throw new SettingError(
    `${variable} names the role "${role}", which ${power}: callers' statements run with that. Give it the role that was made for them (assistant_dbproxy).`,
  );
}
