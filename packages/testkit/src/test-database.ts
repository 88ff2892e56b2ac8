import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { inject } from "vitest";
import { waitFor } from "./wait-for.ts";

type Sql = postgres.Sql;

/** A database to prepare, for whoever fills a template. */
export interface TemplateTarget {
  readonly name: string;
  /** The superuser's connection string of this database. */
  readonly url: string;
  /** The superuser's connection string of the database `postgres` of the same server. */
  readonly adminUrl: string;
}

/** What a test's database starts as. */
export interface DatabaseTemplate {
  /** One template is made for each name in a run: lower case letters, digits and `_`. */
  readonly name: string;
  /** Fills it. Called once in a run, however many workers ask for it. Must leave no connection open. */
  readonly prepare: (target: TemplateTarget) => Promise<void>;
}

/** A database of one test file's own. */
export interface TestDatabase extends TemplateTarget {
  /** The connection string for a role; roles are shared by the whole run. */
  urlFor(role: { readonly name: string; readonly password: string }): string;
  /** Drops it, with every connection to it. To be called at the end; may be repeated. */
  drop(): Promise<void>;
}

/**
 * Creates an empty database, or a copy of a template with its owner, its privileges and its settings,
 * on the server of this test run.
 */
export async function createTestDatabase(
  options: { readonly template?: DatabaseTemplate } = {},
): Promise<TestDatabase> {
  const adminUrl = inject("postgresAdminUrl");
  const { template } = options;
  const name = `test_${randomBytes(6).toString("hex")}`;
  await withConnection(adminUrl, async (sql) => {
    if (template === undefined) {
      await sql`CREATE DATABASE ${sql(name)}`;
      return;
    }
    const source = await provideTemplate({ sql, adminUrl, template });
    await sql`CREATE DATABASE ${sql(name)} TEMPLATE ${sql(source)} STRATEGY FILE_COPY`;
    await copyAttributes(sql, { source, target: name });
  });
  return {
    name,
    adminUrl,
    url: databaseUrl(adminUrl, name),
    urlFor: (role) => databaseUrl(adminUrl, name, role),
    drop: () =>
      withConnection(adminUrl, async (sql) => {
        await sql`DROP DATABASE IF EXISTS ${sql(name)} WITH (FORCE)`;
      }),
  };
}

async function withConnection<T>(url: string, use: (sql: Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined, prepare: false, fetch_types: false });
  try {
    return await use(sql);
  } finally {
    await sql.end();
  }
}

// The template gets its name when it is complete; a worker that dies on the way leaves a draft, and
// the lock ends with its connection.
async function provideTemplate(options: {
  readonly sql: Sql;
  readonly adminUrl: string;
  readonly template: DatabaseTemplate;
}): Promise<string> {
  const { sql, adminUrl, template } = options;
  if (!/^[a-z0-9_]{1,40}$/.test(template.name)) {
    throw new Error(`"${template.name}" can't name a template: lower case letters, digits and _ only.`);
  }
  const name = `template_${template.name}`;
  await sql`SELECT pg_advisory_lock(hashtextextended(${name}, 0))`;
  try {
    const found = await sql`SELECT FROM pg_database WHERE datname = ${name}`;
    if (found.length > 0) return name;
    const draft = `draft_${template.name}`;
    await sql`DROP DATABASE IF EXISTS ${sql(draft)} WITH (FORCE)`;
    await sql`CREATE DATABASE ${sql(draft)}`;
    await template.prepare({ name: draft, url: databaseUrl(adminUrl, draft), adminUrl });
    await waitFor(
      async () => (await sql`SELECT FROM pg_stat_activity WHERE datname = ${draft}`).length === 0,
      {
        describe: `the template "${template.name}" to be left without a connection by its prepare()`,
      },
    );
    await sql`ALTER DATABASE ${sql(draft)} ALLOW_CONNECTIONS false`;
    await sql`ALTER DATABASE ${sql(draft)} RENAME TO ${sql(name)}`;
    return name;
  } finally {
    await sql`SELECT pg_advisory_unlock(hashtextextended(${name}, 0))`;
  }
}

// CREATE DATABASE copies what is inside the template, but nothing that is said about it from outside.
async function copyAttributes(
  sql: Sql,
  { source, target }: { source: string; target: string },
): Promise<void> {
  const [found] = await sql<{ owner: string; acl: unknown; oid: string }[]>`
    SELECT pg_get_userbyid(datdba) AS owner, datacl::text AS acl, oid FROM pg_database WHERE datname = ${source}`;
  if (found === undefined) throw new Error(`The template ${source} is gone.`);
  await sql`ALTER DATABASE ${sql(target)} OWNER TO ${sql(found.owner)}`;
  if (found.acl !== null) await copyPrivileges(sql, { source, target });
  const settings = await sql<{ role: string | null; name: string; value: string }[]>`
    SELECT r.rolname AS role, split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS value
    FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) c LEFT JOIN pg_roles r ON r.oid = s.setrole
    WHERE s.setdatabase = ${found.oid}`;
  for (const { role, name, value } of settings) {
    await sql.begin(async (transaction) => {
      // A literal would turn a list such as search_path into one name: the session's value is taken over.
      await transaction`SELECT set_config(${name}, ${value}, true)`;
      const subject = role === null ? transaction`` : transaction`ROLE ${transaction(role)} IN`;
      await transaction`ALTER ${subject} DATABASE ${transaction(target)} SET ${transaction(name)} FROM CURRENT`;
    });
  }
}

async function copyPrivileges(
  sql: Sql,
  { source, target }: { source: string; target: string },
): Promise<void> {
  await sql`REVOKE ALL ON DATABASE ${sql(target)} FROM PUBLIC`;
  const grants = await sql<{ privilege: string; role: string | null; grantable: boolean }[]>`
    SELECT a.privilege_type AS privilege, r.rolname AS role, a.is_grantable AS grantable
    FROM pg_database d CROSS JOIN aclexplode(d.datacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE d.datname = ${source}`;
  for (const { privilege, role, grantable } of grants) {
    const grantee = role === null ? sql`PUBLIC` : sql(role);
    // The privilege's name comes from PostgreSQL's own list.
    await sql`GRANT ${sql.unsafe(privilege)} ON DATABASE ${sql(target)} TO ${grantee} ${
      grantable ? sql`WITH GRANT OPTION` : sql``
    }`;
  }
}

function databaseUrl(
  adminUrl: string,
  database: string,
  role?: { readonly name: string; readonly password: string },
): string {
  const url = new URL(adminUrl);
  url.pathname = `/${database}`;
  if (role !== undefined) {
    url.username = encodeURIComponent(role.name);
    url.password = encodeURIComponent(role.password);
  }
  return url.href;
}
