import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { afterAll, expect, inject, test } from "vitest";
import { expectNoBackends, expectNoOpenTransactions } from "./database-leaks.ts";
import { trackLeaks } from "./leak-tracker.ts";
import { createTestDatabase, type TestDatabase } from "./test-database.ts";

const leaks = trackLeaks();
const suffix = randomBytes(4).toString("hex");
const databases: TestDatabase[] = [];
const admin = postgres(inject("postgresAdminUrl"), { max: 1, onnotice: () => undefined });

afterAll(async () => {
  await Promise.all(databases.map((database) => database.drop()));
  await admin`DROP DATABASE IF EXISTS ${admin(`template_privileges_${suffix}`)}`;
  await admin`DROP ROLE IF EXISTS ${admin(`owner_${suffix}`)}`;
  await admin`DROP ROLE IF EXISTS ${admin(`app_${suffix}`)}`;
  await admin.end();
  await leaks.expectNoLeaks();
});

async function create(...options: Parameters<typeof createTestDatabase>): Promise<TestDatabase> {
  const database = await createTestDatabase(...options);
  databases.push(database);
  return database;
}

async function query<T>(url: string, run: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  try {
    return await run(sql);
  } finally {
    await sql.end();
  }
}

test("creates an empty database of PostgreSQL 18 with UTF8, the C.UTF-8 order and UTC", async () => {
  const database = await create();
  await query(database.url, async (sql) => {
    const [row] = await sql`
      SELECT current_database() AS name, current_setting('server_version_num')::int / 10000 AS major,
             pg_encoding_to_char(encoding) AS encoding, datlocale AS locale, current_setting('TimeZone') AS zone,
             current_setting('max_prepared_transactions') AS prepared
      FROM pg_database WHERE datname = current_database()`;
    const expected = { encoding: "UTF8", locale: "C.UTF-8", zone: "UTC", prepared: "0" };
    expect(row).toEqual({ name: database.name, major: 18, ...expected });
  });
});

test("prepares a template once, however many ask for it at the same time, and keeps the copies apart", async () => {
  let prepared = 0;
  const template = {
    name: `concurrent_${suffix}`,
    prepare: async ({ url }: { url: string }): Promise<void> => {
      prepared++;
      await query(url, async (sql) => {
        await sql`CREATE TABLE thing (id int PRIMARY KEY)`;
        await sql`INSERT INTO thing VALUES (1)`;
      });
    },
  };
  const copies = await Promise.all(Array.from({ length: 6 }, () => create({ template })));
  expect(prepared).toBe(1);
  const [first, second] = copies;
  if (first === undefined || second === undefined) throw new Error("There are no copies.");
  await query(first.url, (sql) => sql`INSERT INTO thing VALUES (2)`);
  expect(await query(second.url, (sql) => sql`SELECT id FROM thing`)).toEqual([{ id: 1 }]);
});

test("starts a template again that could not be prepared", async () => {
  const name = `broken_${suffix}`;
  const broken = createTestDatabase({ template: { name, prepare: () => Promise.reject(new Error("no")) } });
  await expect(broken).rejects.toThrow("no");
  const database = await create({ template: { name, prepare: () => Promise.resolve() } });
  expect(database.name).toMatch(/^test_/);
});

test("copies the owner, the privileges and the settings of a template", async () => {
  const owner = `owner_${suffix}`;
  const app = { name: `app_${suffix}`, password: "p@ss/word" };
  const template = {
    name: `privileges_${suffix}`,
    prepare: async ({ name }: { name: string }): Promise<void> => {
      await admin`CREATE ROLE ${admin(owner)}`;
      await admin.unsafe(`CREATE ROLE ${app.name} LOGIN PASSWORD '${app.password}'`);
      await admin`ALTER DATABASE ${admin(name)} OWNER TO ${admin(owner)}`;
      await admin`REVOKE ALL ON DATABASE ${admin(name)} FROM PUBLIC`;
      await admin`GRANT CONNECT ON DATABASE ${admin(name)} TO ${admin(app.name)}`;
      await admin`ALTER DATABASE ${admin(name)} SET search_path TO one, two`;
      await admin`ALTER ROLE ${admin(app.name)} IN DATABASE ${admin(name)} SET statement_timeout TO '7s'`;
    },
  };
  const database = await create({ template });
  const [attributes] = await admin`
    SELECT pg_get_userbyid(datdba) AS owner, datacl::text FROM pg_database WHERE datname = ${database.name}`;
  const [original] = await admin`
    SELECT pg_get_userbyid(datdba) AS owner, datacl::text FROM pg_database WHERE datname = ${`template_${template.name}`}`;
  expect(attributes).toEqual(original);
  expect(attributes).toMatchObject({ owner });
  const [settings] = await query(
    database.urlFor(app),
    (sql) =>
      sql`SELECT current_setting('search_path') AS path, current_setting('statement_timeout') AS timeout`,
  );
  expect(settings).toEqual({ path: "one, two", timeout: "7s" });
});

test("drops a database that is still in use, and does nothing the second time", async () => {
  const database = await create();
  const sql = postgres(database.url, { max: 1 });
  await sql`SELECT 1`;
  await database.drop();
  await database.drop();
  expect(await admin`SELECT FROM pg_database WHERE datname = ${database.name}`).toHaveLength(0);
  await sql.end();
});

test("finds an open transaction, says whose it is, and is content once it has ended", async () => {
  const database = await create();
  const sql = postgres(database.url, { max: 1, connection: { application_name: "forgetful" } });
  await expectNoOpenTransactions(database.url);
  const connection = await sql.reserve();
  await connection`BEGIN`;
  await connection`SELECT 'the last thing'`;
  const check = expectNoOpenTransactions(database.url, { timeoutMs: 30 });
  await expect(check).rejects.toThrow(/forgetful, idle in transaction.*the last thing/);
  await connection`ROLLBACK`;
  await expectNoOpenTransactions(database.url);
  connection.release();
  await expect(expectNoBackends(database.url, { timeoutMs: 30 })).rejects.toThrow(/forgetful, idle\)/);
  await sql.end();
  await expectNoBackends(database.url);
});
