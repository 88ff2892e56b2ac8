import { runSql } from "@tandem/testkit";
import { Client, type DatabaseError } from "pg";
import { builtInFunctions } from "../db-proxy/policy/built-in-functions.ts";
import { countParams, grantsTo } from "./example-policy.ts";

/** PostgreSQL itself, asked whether a role with the rights of the example policy may run a statement. */
export interface Witness extends AsyncDisposable {
  /** The SQLSTATE of its refusal; "" for none. The statement is planned, with NULL for its parameters, and not run. */
  refusal(sql: string): Promise<string>;
}

/**
 * Copies the database, to which nobody may be connected, into one where a role of its own has exactly the rights
 * that the policy gives, and may call the functions that everybody may and those of operators, casts and types.
 *
 * @param functions what the policy lets its caller call beyond those
 */
export async function createWitness(
  database: { readonly name: string; readonly adminUrl: string },
  functions: readonly string[],
): Promise<Witness> {
  await runSql(database.adminUrl, `CREATE DATABASE witness TEMPLATE "${database.name}"`);
  await runSql(database.adminUrl, "CREATE ROLE witness LOGIN PASSWORD 'witness'");
  const url = new URL(database.adminUrl);
  url.pathname = "/witness";
  await runSql(
    url.href,
    `${grantsTo("witness")}; ${functionsOf("witness", [...builtInFunctions, ...functions])}`,
  );
  url.username = "witness";
  url.password = "witness";
  const client = new Client({ connectionString: url.href, options: "-c statement_timeout=10s" });
  await client.connect();
  return {
    refusal: async (sql) => {
      // An empty statement before it is none to a server, and one to EXPLAIN.
      const text = `EXPLAIN (GENERIC_PLAN) ${sql.replace(/^[\s;]+/, "")}`;
      const values = Array.from({ length: countParams(sql) }, () => null);
      return client.query({ text, values, queryMode: "extended" } as { text: string }).then(
        () => "",
        (error: DatabaseError) => error.code ?? error.message,
      );
    },
    [Symbol.asyncDispose]: () => client.end(),
  };
}

function functionsOf(role: string, names: readonly string[]): string {
  return `
REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA pg_catalog, information_schema, public FROM PUBLIC;
DO $$ BEGIN EXECUTE (
  SELECT format('GRANT EXECUTE ON ROUTINE %s TO ${role}', string_agg(p.oid::regprocedure::text, ', ')) FROM pg_proc p
  WHERE p.pronamespace IN ('pg_catalog'::regnamespace, 'public'::regnamespace) AND p.prokind <> 'p' AND (
    p.proname = ANY ('{${names.join()}}') OR p.oid IN (
      SELECT oprcode FROM pg_operator UNION SELECT castfunc FROM pg_cast UNION SELECT amproc FROM pg_amproc
      UNION SELECT unnest(ARRAY[typinput, typoutput]) FROM pg_type WHERE typname NOT LIKE 'reg%'
    ))); END $$`;
}
