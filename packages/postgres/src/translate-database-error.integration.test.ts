import type { HandlerError } from "@tandem/rpc";
import { createTestDatabase, type TestDatabase } from "@tandem/testkit";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createDatabase } from "./create-database.ts";
import { isStalePlan } from "./foreign-error.ts";
import { driverNames, openTestConnection, type TestConnection } from "./testing/test-connections.ts";
import { translateDatabaseError, type TranslateOptions } from "./translate-database-error.ts";

const secret = "bind-value-4711";
const schema = `
  CREATE TABLE parent (id int PRIMARY KEY, name text NOT NULL UNIQUE CHECK (name <> '${secret}-bad'));
  CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent);
  CREATE TABLE booking (room text, slot int4range, CONSTRAINT booking_once EXCLUDE USING gist (slot WITH &&));
  CREATE VIEW short_name AS SELECT * FROM parent WHERE length(name) < 5 WITH CHECK OPTION;
  CREATE DOMAIN amount AS numeric CHECK (value > 0);
  CREATE FUNCTION refuse(code text) RETURNS void LANGUAGE plpgsql
    AS 'BEGIN RAISE EXCEPTION ''the owner says no'' USING ERRCODE = code, TABLE = ''parent''; END';
  INSERT INTO parent VALUES (1, '${secret}'), (2, 'two');
  INSERT INTO child VALUES (1, 1);
  INSERT INTO booking VALUES ('a', '[1,5)');
`;

interface Case {
  readonly name: string;
  readonly statement: string;
  readonly values?: readonly unknown[];
  readonly expected: Readonly<Record<string, unknown>>;
}

function fault(reason: string, sqlstate: string, names: object = {}): Case["expected"] {
  return { reason, database: { sqlstate, ...names } };
}

const inParent = { schema: "public", table: "parent" };
const cases: readonly Case[] = [
  {
    name: "a duplicate key",
    statement: "INSERT INTO parent VALUES (3, $1)",
    values: [secret],
    expected: fault("UNIQUE_VIOLATION", "23505", { ...inParent, constraint: "parent_name_key" }),
  },
  {
    name: "a foreign key without its row",
    statement: "INSERT INTO child VALUES (2, $1)",
    values: [4711],
    expected: fault("FOREIGN_KEY_VIOLATION", "23503", {
      schema: "public",
      table: "child",
      constraint: "child_parent_id_fkey",
    }),
  },
  {
    name: "a row that others refer to",
    statement: "DELETE FROM parent WHERE name = $1",
    values: [secret],
    expected: { reason: "FOREIGN_KEY_VIOLATION" },
  },
  {
    name: "a check",
    statement: "INSERT INTO parent VALUES (3, $1)",
    values: [`${secret}-bad`],
    expected: fault("CHECK_VIOLATION", "23514", { ...inParent, constraint: "parent_name_check" }),
  },
  {
    name: "a domain's check",
    statement: "SELECT $1::amount",
    values: ["-4711"],
    expected: { reason: "CHECK_VIOLATION" },
  },
  {
    name: "a view's check option",
    statement: "INSERT INTO short_name VALUES (4, $1)",
    values: [secret + secret],
    expected: { reason: "CHECK_VIOLATION" },
  },
  {
    name: "a null",
    statement: "INSERT INTO parent VALUES ($1, NULL)",
    values: [4711],
    expected: fault("NOT_NULL_VIOLATION", "23502", { ...inParent, column: "name" }),
  },
  {
    name: "an exclusion",
    statement: "INSERT INTO booking VALUES ($1, '[4,6)')",
    values: [secret],
    expected: fault("EXCLUSION_VIOLATION", "23P01", {
      schema: "public",
      table: "booking",
      constraint: "booking_once",
    }),
  },
  {
    name: "several rows where one is wanted",
    statement: "SELECT (SELECT id FROM parent WHERE id < $1)",
    values: [4711],
    expected: fault("RAISED", "21000"),
  },
  {
    name: "a text that is no number",
    statement: "SELECT $1::int",
    values: [secret],
    expected: fault("DATA_EXCEPTION", "22P02"),
  },
  {
    name: "a number out of range",
    statement: "SELECT $1::text::int2",
    values: ["4711471147"],
    expected: fault("DATA_EXCEPTION", "22003"),
  },
  {
    name: "a date that isn't one",
    statement: "SELECT $1::date",
    values: [secret],
    expected: fault("DATA_EXCEPTION", "22007"),
  },
  {
    name: "a division by zero",
    statement: "SELECT $1::int / 0",
    values: [4711],
    expected: fault("DATA_EXCEPTION", "22012"),
  },
  {
    name: "broken syntax",
    statement: "SELEC 1",
    expected: { ...fault("SQL_INVALID", "42601"), message: 'syntax error at or near "SELEC"' },
  },
  {
    name: "a broken text search",
    statement: "SELECT to_tsquery($1)",
    values: [`${secret} &`],
    expected: fault("SQL_INVALID", "42601"),
  },
  {
    name: "an unknown type",
    statement: "SELECT $1::text::regtype",
    values: [secret],
    expected: { reason: "SQL_INVALID" },
  },
  {
    name: "a missing table",
    statement: "SELECT * FROM nowhere",
    expected: { ...fault("SCHEMA_MISMATCH", "42P01"), message: 'relation "nowhere" does not exist' },
  },
  {
    name: "a missing table by a value",
    statement: "SELECT $1::text::regclass",
    values: ["bind_value_4711"],
    expected: fault("SCHEMA_MISMATCH", "42P01"),
  },
  {
    name: "a missing column",
    statement: "SELECT nothing FROM parent",
    expected: fault("SCHEMA_MISMATCH", "42703"),
  },
  { name: "a missing function", statement: "SELECT nothing()", expected: fault("SCHEMA_MISMATCH", "42883") },
  {
    name: "a missing schema",
    statement: "SELECT nowhere.nothing()",
    expected: fault("SCHEMA_MISMATCH", "3F000"),
  },
  {
    name: "the owner's own refusal",
    statement: "SELECT refuse('P0001'), $1::text",
    values: [secret],
    expected: { ...fault("RAISED", "P0001", { table: "parent" }), message: "the owner says no" },
  },
  {
    name: "the owner's own code",
    statement: "SELECT refuse('TD042'), $1::text",
    values: [secret],
    expected: { ...fault("RAISED", "TD042", { table: "parent" }), message: "the owner says no" },
  },
  {
    name: "something not supported",
    statement: "SELECT date_trunc($1, now())",
    values: [secret],
    expected: { reason: "DATA_EXCEPTION" },
  },
  {
    name: "a lock on what can't be locked",
    statement: "SELECT count(*) FROM parent FOR UPDATE",
    expected: fault("NOT_SUPPORTED", "0A000"),
  },
  {
    name: "an index entry that is too large",
    statement:
      "INSERT INTO parent SELECT 9, string_agg(md5(i::text || $1), '') FROM generate_series(1, 500) i",
    values: [secret],
    expected: { reason: "SQL_INVALID" },
  },
];

describe.each(driverNames)("an error that %s receives", (driver) => {
  let database: TestDatabase;
  let connection: TestConnection;
  const opened: TestConnection[] = [];

  const open = async (url = database.url): Promise<TestConnection> => {
    const another = await openTestConnection(driver, url);
    opened.push(another);
    return another;
  };

  beforeAll(async () => {
    database = await createTestDatabase();
    connection = await open();
    for (const statement of schema.split(/;\n {2}/)) await connection.run(statement);
  });

  afterAll(async () => {
    await Promise.all(opened.map((each) => each.close()));
    await database.drop();
  });

  test.each(cases)("$name", async ({ statement, values, expected }) => {
    const error = await failureOf(connection.run(statement, values));
    expect(error).toMatchObject({ outcome: "NOT_COMMITTED", ...expected });
    expect(`${error.message} ${JSON.stringify(error.database)}`).not.toMatch(/bind.value|4711/);
  });

  test("a missing privilege", async () => {
    const other = await open();
    await other.run("CREATE ROLE test_nobody");
    await other.run("SET ROLE test_nobody");
    const error = await failureOf(other.run("SELECT * FROM parent"));
    expect(error).toMatchObject({
      ...fault("INSUFFICIENT_PRIVILEGE", "42501"),
      message: "permission denied for table parent",
    });
    await other.run("RESET ROLE");
    await other.run("DROP ROLE test_nobody");
  });

  test("a write where only reading is possible", async () => {
    const other = await open();
    await other.run("SET default_transaction_read_only = on");
    expect(await failureOf(other.run("DELETE FROM child"))).toMatchObject(fault("NOT_PRIMARY", "25006"));
  });

  test("a lock that is not given in time, and one that is not waited for", async () => {
    const [holder, waiter] = [await open(), await open()];
    await holder.run("BEGIN");
    await holder.run("SELECT * FROM parent WHERE id = 2 FOR UPDATE");
    await waiter.run("SET lock_timeout = '20ms'");
    const locked = { ...fault("LOCK_TIMEOUT", "55P03"), retryable: true };
    expect(await failureOf(waiter.run("UPDATE parent SET name = 'x' WHERE id = 2"))).toMatchObject(locked);
    expect(await failureOf(waiter.run("SELECT * FROM parent FOR UPDATE NOWAIT"))).toMatchObject(locked);
    await holder.run("ROLLBACK");
  });

  test("a deadlock", async () => {
    const [one, other] = [await open(), await open()];
    for (const each of [one, other]) {
      await each.run("SET deadlock_timeout = '50ms'");
      await each.run("BEGIN");
    }
    await one.run("SELECT * FROM parent WHERE id = 1 FOR UPDATE");
    await other.run("SELECT * FROM parent WHERE id = 2 FOR UPDATE");
    const both = await Promise.allSettled([lockThenRollBack(one, 2), lockThenRollBack(other, 1)]);
    const failed = both.filter((result) => result.status === "rejected");
    expect(failed.map(({ reason }) => translateDatabaseError(reason))).toMatchObject([
      { ...fault("DEADLOCK", "40P01"), retryable: true },
    ]);
  });

  test("a serialization failure", async () => {
    const [one, other] = [await open(), await open()];
    await one.run("BEGIN ISOLATION LEVEL REPEATABLE READ");
    await one.run("SELECT * FROM parent");
    await other.run("UPDATE parent SET name = 'deux' WHERE id = 2");
    const error = await failureOf(one.run("UPDATE parent SET name = 'dos' WHERE id = 2"));
    expect(error).toMatchObject({ ...fault("SERIALIZATION_FAILURE", "40001"), retryable: true });
  });

  test("a statement, and a transaction, that take too long", async () => {
    const other = await open();
    await other.run("SET statement_timeout = '20ms'");
    expect(await failureOf(other.run("SELECT pg_sleep(5)"))).toMatchObject(
      fault("STATEMENT_TIMEOUT", "57014"),
    );
    await other.run("SET statement_timeout = 0");
    await other.run("SET transaction_timeout = '20ms'");
    // PostgreSQL ends the session: a driver reports either that, or the connection that is gone.
    const error = await failureOf(other.run("SELECT pg_sleep(5)"));
    expect(["TRANSACTION_TIMEOUT", "DATABASE_UNAVAILABLE"]).toContain(error.reason);
  });

  test("a session that is terminated, in a statement and in a commit", async () => {
    const [victim, admin] = [await open(), await open()];
    const [row] = await victim.run("SELECT pg_backend_pid() AS pid");
    const sleeping = victim.run("SELECT pg_sleep(5)");
    const terminated = expect(sleeping).rejects.toThrow();
    await admin.run("SELECT pg_terminate_backend($1, 2000)", [row?.["pid"]]);
    await terminated;
    const unavailable = { reason: "DATABASE_UNAVAILABLE", outcome: "NOT_COMMITTED", retryable: true };
    expect(await failureOf(sleeping)).toMatchObject(unavailable);
    expect(await failureOf(sleeping, { during: "commit" })).toMatchObject({
      reason: "COMMIT_OUTCOME_UNKNOWN",
    });
  });

  test("a connection that does not come about", async () => {
    const wrong = new URL(database.url);
    wrong.password = "wrong";
    const none = new URL(database.url);
    none.pathname = "/no_such_database";
    const nowhere = new URL(database.url);
    nowhere.port = "1";
    for (const url of [wrong, none, nowhere]) {
      const error = await failureOf((await open(url.href)).run("SELECT 1"), { during: "commit" });
      expect(error).toMatchObject({ reason: "DATABASE_UNAVAILABLE", outcome: "NOT_COMMITTED" });
      expect(error.message).not.toContain(url.port);
    }
  });

  test("a server that takes no more connections of a role", async () => {
    const role = { name: `full_${driver}`, password: "full" };
    await connection.run(`CREATE ROLE ${role.name} LOGIN PASSWORD '${role.password}' CONNECTION LIMIT 0`);
    const error = await failureOf((await open(database.urlFor(role))).run("SELECT 1"));
    expect(error).toMatchObject({ ...fault("OVERLOADED", "53300"), retryable: true });
    await connection.run(`DROP ROLE ${role.name}`);
  });
});

test("what drizzle throws has neither the statement nor its parameters in it", async () => {
  const testDatabase = await createTestDatabase();
  const database = createDatabase({ url: testDatabase.url, applicationName: "test" });
  try {
    const error = await failureOf(database.drizzle.execute(sql`SELECT ${secret}::int`).execute());
    expect(error).toMatchObject(fault("DATA_EXCEPTION", "22P02"));
    expect(error.message).not.toContain(secret);
    expect(Object.values(error.cause ?? {})).not.toContainEqual(expect.stringContaining(secret));
  } finally {
    await database.close();
    await testDatabase.drop();
  }
});

test("a plan that no longer fits its table is recognised", async () => {
  const testDatabase = await createTestDatabase();
  const connection = await openTestConnection("postgres", testDatabase.url);
  try {
    await connection.run("CREATE TABLE changing (a int)");
    await connection.run("PREPARE plan AS SELECT * FROM changing");
    await connection.run("EXECUTE plan");
    await connection.run("ALTER TABLE changing ADD b int");
    const stale = await connection.run("EXECUTE plan").catch((error: unknown) => error);
    expect(isStalePlan(stale)).toBe(true);
  } finally {
    await connection.close();
    await testDatabase.drop();
  }
});

async function lockThenRollBack(connection: TestConnection, id: number): Promise<void> {
  try {
    await connection.run("SELECT * FROM parent WHERE id = $1 FOR UPDATE", [id]);
  } finally {
    await connection.run("ROLLBACK");
  }
}

async function failureOf(work: Promise<unknown>, options?: TranslateOptions): Promise<HandlerError> {
  try {
    await work;
  } catch (error) {
    return translateDatabaseError(error, options);
  }
  throw new Error("It did not fail.");
}
