import { assistantDatabase, bootstrapDatabase } from "@tandem/postgres";
import { Client, type DatabaseError } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exampleTables, type HostileStatement, readHostileStatements } from "../../testing/example-policy.ts";
import { createProxyFixture, type ProxyFixture } from "../../testing/proxy-fixture.ts";

const hostile = readHostileStatements();

let proxy: ProxyFixture;
let client: Client;
beforeAll(async () => {
  proxy = await createProxyFixture();
  await proxy.define(exampleTables);
  // An extension that somebody needs, and that lets everybody who may connect reach other databases.
  await proxy.sql("CREATE EXTENSION dblink");
  const { pathname } = new URL(proxy.databaseUrl);
  const database = { ...assistantDatabase, name: pathname.slice(1) };
  await bootstrapDatabase({ adminUrl: proxy.databaseUrl, database });
  client = new Client({ connectionString: proxy.roleUrl });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await proxy[Symbol.asyncDispose]();
});

/** The SQLSTATE of a statement that is run as DbProxy would run it, past its parser and its policy. */
async function run(sql: string): Promise<string> {
  await client.query("BEGIN");
  const query = { text: sql, queryMode: "extended" };
  const code = await client.query(query).then(
    () => "nothing failed",
    (error: DatabaseError) => error.code ?? error.message,
  );
  await client.query("ROLLBACK");
  return code;
}

const permissionDenied = ["42501"];
// Not valid, nor valid here; not in a transaction, nor with what the server is set to.
const notAsThings = ["42601", "22021", "0A000", "25001", "2D000", "55000", "55P02"];
const codes = { role: permissionDenied, server: notAsThings };

describe("without the policy", () => {
  it.each(["role", "server"] as const)(
    "the %s refuses every hostile statement of which that is said",
    async (which) => {
      const found: unknown[] = [];
      const marked = hostile.filter(({ beneath }) => beneath === which);
      for (const { sql } of marked) {
        const code = await run(sql);
        if (!codes[which].includes(code)) found.push({ sql, code });
      }
      expect(found).toEqual([]);
      expect(marked.length).toBeGreaterThan(50);
    },
  );

  // What the role or the server stands behind the policy for, by what the statements have in them.
  it.each<readonly [what: string, by: "role" | "server", part: RegExp]>([
    ["a prepared transaction", "server", /^PREPARE TRANSACTION/],
    ["several statements in one text", "server", /^(?!DO|SELECT xml).*;.*\w/],
    ["a write in a WITH further down", "server", /\(WITH .*DELETE/],
    ["set_config", "role", /set_config"?\(/],
    ["a setting by way of a view", "role", /^UPDATE (pg_catalog\.)?pg_settings/],
    ["SQL in a string", "role", /(query|table|schema|database|cursor)_to_xml|ts_stat|ts_rewrite/],
    ["sleep", "role", /pg_sleep(_for|_until)?\(/],
    ["ending other sessions", "role", /pg_(terminate|cancel)_backend\(/],
    ["looking at what others run", "role", /pg_stat_activity|pg_stat_get_(activity|backend)/],
    ["large objects", "role", /\blo_\w+\(|\b(loread|lowrite)\(/],
    ["notifications", "role", /pg_notify\(/],
    ["advisory locks", "role", /pg_(try_)?advisory_(xact_)?lock(_shared)?\(/],
    ["files", "role", /pg_(read|ls|stat)_\w*(file|dir)\(|PROGRAM|(TO|FROM) '\//],
    ["other databases", "role", /dblink/],
    [
      "a temporary table, or another object, that shadows",
      "role",
      /^CREATE (LOCAL )?TEMP|INTO TEMP|TABLE pg_temp|FUNCTION pg_temp/,
    ],
    [
      "definitions",
      "role",
      /^(CREATE (TABLE|VIEW|FUNCTION|SCHEMA|OPERATOR|TYPE|CAST|RULE|TRIGGER)|DROP TABLE|ALTER TABLE|TRUNCATE)/,
    ],
    ["another role", "role", /^SET (LOCAL |SESSION )?(ROLE|SESSION AUTHORIZATION|role TO) (?!NONE|DEFAULT)/],
    ["membership of another role", "role", /^GRANT assistant_owner|^ALTER ROLE|^CREATE ROLE/],
    [
      "passwords and what else is the server's",
      "role",
      /(FROM|UPDATE) (pg_catalog\.)?(pg_authid|pg_shadow|pg_user_mapping)/,
    ],
    ["receipts, once they are written", "role", /^(DELETE FROM|UPDATE|TRUNCATE) tandem\.receipts/],
  ])("nothing comes through of what it alone would stop: %s", async (_, by, part) => {
    const concerned = hostile.filter(({ sql }) => part.test(sql));
    expect(concerned.filter(({ beneath }) => beneath === by).length).toBeGreaterThan(0);
    const through: HostileStatement[] = [];
    for (const statement of concerned) {
      if ((await run(statement.sql)) === "nothing failed" && !isLeftOut(statement)) through.push(statement);
    }
    expect(through).toEqual([]);
  });
});

/** PostgreSQL plans it without the call. */
function isLeftOut({ why }: HostileStatement): boolean {
  return why.startsWith("a call that PostgreSQL leaves out");
}
