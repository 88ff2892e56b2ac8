import { confineFunctions } from "./far-reaching-functions.ts";
import { quoteIdentifier } from "./quote.ts";
import type { DatabaseRoles } from "./tandem-databases.ts";

/**
 * What a superuser runs inside a database of Tandem's, in one transaction. All of it may be run again. The
 * tables in `public` are the service's, those in `tandem` the machinery's: rows of the former are the
 * app's to write, the latter are granted to it one by one.
 */
export function schemaStatements(roles: DatabaseRoles): readonly string[] {
  const owner = quoteIdentifier(roles.owner);
  const app = quoteIdentifier(roles.app);
  const defaults = `ALTER DEFAULT PRIVILEGES FOR ROLE ${owner}`;
  return [
    // First: it sees by the rights on the schema `tandem` which roles are new to the database.
    confineFunctions(roles),
    `ALTER SCHEMA public OWNER TO ${owner}`,
    "REVOKE ALL ON SCHEMA public FROM PUBLIC",
    `GRANT USAGE ON SCHEMA public TO ${app}`,
    `CREATE SCHEMA IF NOT EXISTS tandem AUTHORIZATION ${owner}`,
    `ALTER SCHEMA tandem OWNER TO ${owner}`,
    `GRANT USAGE ON SCHEMA tandem TO ${app}`,
    // Not in a schema: what PUBLIC has by default can be taken away for all schemas only.
    `${defaults} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC`,
    `${defaults} IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ${app}`,
    `${defaults} IN SCHEMA tandem GRANT SELECT ON TABLES TO ${app}`,
    // One row for each migration that was applied; `migrate` reads and writes it.
    `CREATE TABLE IF NOT EXISTS tandem.migrations (
       name text PRIMARY KEY,
       hash text NOT NULL,
       applied_at timestamptz NOT NULL DEFAULT now()
     )`,
    `ALTER TABLE tandem.migrations OWNER TO ${owner}`,
    `GRANT SELECT ON TABLE tandem.migrations TO ${app}`,
    ...(roles.mirror === undefined ? [] : mirrorStatements(roles.mirror, { owner, app })),
  ];
}

// `mirror` holds the functions that write the rows which another database decides about, and nothing else.
function mirrorStatements(
  role: string,
  { owner, app }: { readonly owner: string; readonly app: string },
): readonly string[] {
  const mirror = quoteIdentifier(role);
  const defaults = `ALTER DEFAULT PRIVILEGES FOR ROLE ${mirror}`;
  return [
    `CREATE SCHEMA IF NOT EXISTS mirror AUTHORIZATION ${mirror}`,
    `ALTER SCHEMA mirror OWNER TO ${mirror}`,
    `GRANT USAGE ON SCHEMA public, tandem TO ${mirror}`,
    `GRANT USAGE ON SCHEMA mirror TO ${owner}, ${app}`,
    `${defaults} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC`,
    `${defaults} IN SCHEMA mirror GRANT EXECUTE ON FUNCTIONS TO ${app}`,
  ];
}
