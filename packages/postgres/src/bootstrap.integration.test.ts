import { randomBytes } from "node:crypto";
import { createTestDatabase, type TestDatabase } from "@tandem/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bootstrapCluster, type BootstrapClusterOptions, bootstrapDatabase } from "./bootstrap.ts";
import { withSession } from "./session.ts";
import { assistantDatabase, type DatabasePlan, gatewayDatabase, rolesOf } from "./tandem-databases.ts";

// Roles are the whole server's: these are this file's own, named so that they need quoting.
const run = randomBytes(4).toString("hex");
const own = (name: string): string => `${name}"'\\ ${run}`;

function ownPlan({ roles }: DatabasePlan, name: string): DatabasePlan {
  const { owner, app, dbproxy } = roles;
  const dbproxyRole = dbproxy === undefined ? {} : { dbproxy: own(dbproxy) };
  return { name: own(name), roles: { owner: own(owner), app: own(app), ...dbproxyRole } };
}

const gateway = ownPlan(gatewayDatabase, "gateway");
const assistant = ownPlan(assistantDatabase, "assistant");
const databases = [gateway, assistant];
const passwords = Object.fromEntries(databases.flatMap(rolesOf).map((role) => [role, `it's "${role}`]));
const { owner, app } = assistant.roles;
const dbproxy = assistant.roles.dbproxy ?? "";

let anchor: TestDatabase;

beforeAll(async () => {
  anchor = await createTestDatabase();
  // Two starters at once, on a server without any of it.
  await Promise.all([bootstrapCluster(options()), bootstrapCluster(options())]);
  await runAs(owner, assistant.name, "CREATE TABLE things (id int PRIMARY KEY, name text)");
  await runAs(owner, assistant.name, "CREATE TABLE tandem.machinery (id int)");
  await runAs(owner, assistant.name, "CREATE FUNCTION answer() RETURNS int LANGUAGE sql AS 'SELECT 42'");
});

afterAll(async () => {
  await withSession({ url: anchor.adminUrl, applicationName: "test" }, async (session) => {
    const { rows } = await session.run("SELECT datname FROM pg_database WHERE datname LIKE $1", [`%${run}%`]);
    for (const { datname } of rows)
      await session.run(`DROP DATABASE ${quoted(String(datname))} WITH (FORCE)`);
    for (const role of databases.flatMap(rolesOf)) await session.run(`DROP ROLE ${quoted(role)}`);
  });
  await anchor.drop();
});

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function urlOf(role: string, database: string, password = passwords[role] ?? ""): string {
  const url = new URL(anchor.adminUrl);
  url.username = encodeURIComponent(role);
  url.password = encodeURIComponent(password);
  url.pathname = `/${encodeURIComponent(database)}`;
  return url.href;
}

async function runAs(role: string, database: string, ...statements: string[]): Promise<unknown> {
  return withSession({ url: urlOf(role, database), applicationName: "test" }, async (session) => {
    let last: unknown;
    for (const statement of statements) last = (await session.run(statement)).rows;
    return last;
  });
}

async function can(role: string, database: string, statement: string): Promise<boolean> {
  try {
    await runAs(role, database, "BEGIN", statement, "ROLLBACK");
    return true;
  } catch (error) {
    if (error instanceof Error && /permission denied|must be owner/.test(error.message)) return false;
    throw error;
  }
}

describe("who can connect where", () => {
  const everywhere = [...databases.map(({ name }) => name), "postgres", "template1"];
  const matrix = databases.flatMap((plan) =>
    rolesOf(plan).flatMap((role) =>
      everywhere.map((database) => ({ role, database, allowed: database === plan.name })),
    ),
  );

  test.each(matrix)("$role to $database: $allowed", async ({ role, database, allowed }) => {
    expect(await can(role, database, "SELECT 1")).toBe(allowed);
  });

  test("nobody without the password, and with the new one after it was changed", async () => {
    const changed = { ...passwords, [app]: "changed" };
    await bootstrapCluster({ ...options(), passwords: changed });
    await expect(runAs(app, assistant.name, "SELECT 1")).rejects.toMatchObject({ failure: "WRONG_PASSWORD" });
    const url = urlOf(app, assistant.name, "changed");
    await withSession({ url, applicationName: "test" }, (session) => session.run("SELECT 1"));
    await bootstrapCluster(options());
  });
});

describe("who can do what in a database", () => {
  const abilities: readonly [
    string,
    { readonly owner: boolean; readonly app: boolean; readonly dbproxy: boolean },
  ][] = [
    ["CREATE TABLE mine (id int)", { owner: true, app: false, dbproxy: false }],
    ["CREATE TABLE tandem.mine (id int)", { owner: true, app: false, dbproxy: false }],
    ["CREATE SCHEMA mine", { owner: true, app: false, dbproxy: false }],
    ["CREATE TEMPORARY TABLE mine (id int)", { owner: true, app: false, dbproxy: false }],
    ["ALTER TABLE public.things ADD more int", { owner: true, app: false, dbproxy: false }],
    ["DROP TABLE public.things", { owner: true, app: false, dbproxy: false }],
    ["TRUNCATE public.things", { owner: true, app: false, dbproxy: false }],
    ["SELECT * FROM public.things", { owner: true, app: true, dbproxy: false }],
    ["INSERT INTO public.things VALUES (1, 'a')", { owner: true, app: true, dbproxy: false }],
    ["UPDATE public.things SET name = 'b'", { owner: true, app: true, dbproxy: false }],
    ["DELETE FROM public.things", { owner: true, app: true, dbproxy: false }],
    ["SELECT public.answer()", { owner: true, app: false, dbproxy: false }],
    ["SELECT * FROM tandem.migrations", { owner: true, app: true, dbproxy: false }],
    ["DELETE FROM tandem.migrations", { owner: true, app: false, dbproxy: false }],
    ["SELECT * FROM tandem.machinery", { owner: true, app: true, dbproxy: false }],
    ["INSERT INTO tandem.machinery VALUES (1)", { owner: true, app: false, dbproxy: false }],
    ["CREATE ROLE mine", { owner: false, app: false, dbproxy: false }],
    ["SELECT * FROM pg_catalog.pg_authid", { owner: false, app: false, dbproxy: false }],
    ["SELECT pg_catalog.pg_read_file('PG_VERSION')", { owner: false, app: false, dbproxy: false }],
    [`SET ROLE ${quoted(owner)}`, { owner: true, app: false, dbproxy: false }],
  ];

  test.each(abilities)("%s", async (statement, expected) => {
    const found = {
      owner: await can(owner, assistant.name, statement),
      app: await can(app, assistant.name, statement),
      dbproxy: await can(dbproxy, assistant.name, statement),
    };
    expect(found).toEqual(expected);
  });

  test("roles have no power over the server, and their limits whatever connects for them", async () => {
    const sessions = await withSession({ url: anchor.adminUrl, applicationName: "test" }, async (session) => {
      const { rows } = await session.run(
        `SELECT rolname FROM pg_roles WHERE rolname LIKE $1 AND (rolsuper OR rolinherit OR rolcreaterole OR rolcreatedb
           OR rolreplication OR rolbypassrls OR NOT rolcanlogin)`,
        [`%${run}%`],
      );
      return rows;
    });
    expect(sessions).toEqual([]);
    for (const role of [app, dbproxy]) {
      expect(await settingsOf(role)).toEqual({
        search_path: "public, pg_temp",
        statement_timeout: "5000",
        lock_timeout: "2000",
        idle_in_transaction_session_timeout: "10000",
        transaction_timeout: "10000",
      });
    }
  });
});

describe("a bootstrap", () => {
  test("run again changes nothing that was made, and takes back what was given", async () => {
    await runAs(owner, assistant.name, "INSERT INTO things VALUES (7, 'kept')");
    await asAdmin(`GRANT pg_read_all_data TO ${quoted(dbproxy)}`);
    await asAdmin(`ALTER ROLE ${quoted(dbproxy)} CREATEDB INHERIT`);
    await asAdmin(`GRANT CONNECT ON DATABASE ${quoted(assistant.name)} TO PUBLIC`);
    await bootstrapCluster(options());
    expect(await can(dbproxy, assistant.name, "SELECT * FROM public.things")).toBe(false);
    expect(await can(gateway.roles.app, assistant.name, "SELECT 1")).toBe(false);
    expect(await can(dbproxy, assistant.name, "CREATE SCHEMA mine")).toBe(false);
    expect(await runAs(app, assistant.name, "SELECT * FROM things")).toEqual([{ id: 7, name: "kept" }]);
  });

  test("of one more database from a template gives it the same rights", async () => {
    const copy = { ...assistant, name: own("copy"), template: assistant.name };
    await bootstrapDatabase({ adminUrl: anchor.adminUrl, database: copy });
    expect(await can(app, copy.name, "SELECT * FROM things")).toBe(true);
    expect(await can(app, copy.name, "CREATE TABLE mine (id int)")).toBe(false);
    expect(await can(dbproxy, copy.name, "SELECT 1")).toBe(true);
    expect(await can(gateway.roles.app, copy.name, "SELECT 1")).toBe(false);
  });

  test("sorts text the same on every operating system", async () => {
    const rows = await runAs(
      gateway.roles.app,
      gateway.name,
      "SELECT string_agg(c, '' ORDER BY c) AS sorted, upper('ä') AS up FROM unnest('{b,A,a,B}'::text[]) c",
    );
    expect(rows).toEqual([{ sorted: "ABab", up: "Ä" }]);
  });

  test("refuses a password that is missing or not ASCII, and an administrator that is none", async () => {
    const { [app]: _taken, ...missing } = passwords;
    await expect(bootstrapCluster({ ...options(), passwords: missing })).rejects.toThrow(
      `The role "${app}" is given no password.`,
    );
    await expect(bootstrapCluster({ ...options(), passwords: { ...passwords, [app]: "ä" } })).rejects.toThrow(
      "ASCII",
    );
    const adminUrl = urlOf(owner, assistant.name);
    await expect(bootstrapCluster({ ...options(), adminUrl })).rejects.toThrow("needs a superuser");
  });

  test("puts no password into a statement", async () => {
    const rows = await asAdmin(
      `SELECT rolpassword FROM pg_authid WHERE rolname = '${app.replaceAll("'", "''")}'`,
    );
    expect(rows).toEqual([{ rolpassword: expect.stringMatching(/^SCRAM-SHA-256\$4096:/) }]);
  });
});

function options(): BootstrapClusterOptions {
  return { adminUrl: anchor.adminUrl, databases, passwords };
}

async function settingsOf(role: string): Promise<unknown> {
  const rows = await runAs(
    role,
    assistant.name,
    `SELECT json_object_agg(name, reset_val) AS settings FROM pg_settings WHERE name IN ('search_path',
       'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')`,
  );
  return (rows as { settings: unknown }[])[0]?.settings;
}

async function asAdmin(statement: string): Promise<unknown> {
  const { rows } = await withSession({ url: anchor.adminUrl, applicationName: "test" }, (session) =>
    session.run(statement),
  );
  return rows;
}
