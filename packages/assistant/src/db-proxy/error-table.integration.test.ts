import { inspect } from "node:util";
import { StatusCode } from "@tandem/rpc";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  createProxyFixture,
  int,
  type ProxyFixture,
  step,
  type StepInit,
  text,
} from "../testing/proxy-fixture.ts";

const SECRET = "hunter2-must-not-be-seen";

interface Row {
  readonly name: string;
  readonly steps: readonly StepInit[];
  readonly code: keyof typeof StatusCode;
  readonly seen: object;
  readonly timeoutMs?: number;
}

const ok = step("SELECT 1");
const secret = text(SECRET);

/** The rows of the error table that one caller alone can provoke. What needs a second is below. */
const rows: readonly Row[] = [
  { name: "no step", steps: [], code: "INVALID_ARGUMENT", seen: { reason: "EMPTY_TRANSACTION" } },
  {
    name: "a step without a statement",
    steps: [ok, {}],
    code: "INVALID_ARGUMENT",
    seen: {
      reason: "INVALID_REQUEST",
      step: 1,
      fields: [{ field: "steps[1].sql", description: expect.any(String) }],
    },
  },
  {
    name: "too many steps",
    steps: Array.from({ length: 129 }, () => ok),
    code: "INVALID_ARGUMENT",
    seen: { reason: "REQUEST_TOO_LARGE" },
  },
  {
    name: "too many parameters",
    steps: [step("SELECT 1", ...Array.from({ length: 1_001 }, () => int(1)))],
    code: "INVALID_ARGUMENT",
    seen: { reason: "REQUEST_TOO_LARGE", step: 0 },
  },
  {
    name: "too long a text",
    steps: [step(`SELECT 1 -- ${"x".repeat(64 * 1024)}`)],
    code: "INVALID_ARGUMENT",
    seen: { reason: "REQUEST_TOO_LARGE", step: 0 },
  },
  {
    name: "a guard that is negative",
    steps: [{ ...ok, minChanges: -1n }],
    code: "INVALID_ARGUMENT",
    seen: { reason: "INVALID_REQUEST", step: 0 },
  },
  {
    name: "a guard that nothing can meet",
    steps: [{ ...ok, minChanges: 2n, maxChanges: 1n }],
    code: "INVALID_ARGUMENT",
    seen: { reason: "INVALID_REQUEST", step: 0 },
  },
  {
    name: "a value that can't be what PostgreSQL takes it for",
    steps: [ok, step("SELECT $1::int8", secret)],
    code: "INVALID_ARGUMENT",
    seen: {
      reason: "INVALID_REQUEST",
      step: 1,
      fields: [{ field: "steps[1].params[0]", description: "is a text, where PostgreSQL takes int8" }],
    },
  },
  {
    name: "a NUL in a text",
    steps: [step("SELECT $1::text", text(`${SECRET}\0`))],
    code: "INVALID_ARGUMENT",
    seen: { reason: "INVALID_REQUEST", step: 0 },
  },
  {
    name: "fewer values than parameters",
    steps: [step("SELECT $1::int8, $2::int8", int(1))],
    code: "INVALID_ARGUMENT",
    seen: { reason: "INVALID_REQUEST", step: 0 },
  },
  {
    name: "a reference to a later step",
    steps: [withRef(1, "id"), ok],
    code: "INVALID_ARGUMENT",
    seen: { reason: "INVALID_REQUEST", step: 0 },
  },
  {
    name: "a reference to a row that wasn't returned",
    steps: [step("SELECT 1 AS id WHERE false"), withRef(0, "id")],
    code: "FAILED_PRECONDITION",
    seen: { reason: "UNRESOLVED_REF", step: 1 },
  },
  {
    name: "a reference to a column that isn't there",
    steps: [ok, withRef(0, "nothing")],
    code: "FAILED_PRECONDITION",
    seen: { reason: "UNRESOLVED_REF", step: 1 },
  },
  {
    name: "an unmet guard",
    steps: [ok, { ...step("SELECT 1 WHERE false"), minChanges: 1n }],
    code: "FAILED_PRECONDITION",
    seen: { reason: "GUARD_UNMET", step: 1, guard: { actualChanges: 0n, minChanges: 1n } },
  },
  sql("23505", "ALREADY_EXISTS", "UNIQUE_VIOLATION", "INSERT INTO child (name) VALUES ($1), ($1)", {
    schema: "public",
    table: "child",
    constraint: "child_name_key",
  }),
  sql(
    "23503",
    "FAILED_PRECONDITION",
    "FOREIGN_KEY_VIOLATION",
    "INSERT INTO child (name, parent) VALUES ($1, 99)",
    {
      table: "child",
      constraint: "child_parent_fkey",
    },
  ),
  sql(
    "23001",
    "FAILED_PRECONDITION",
    "FOREIGN_KEY_VIOLATION",
    "DELETE FROM parent WHERE id = 1 AND $1 <> ''",
    {
      table: "held",
      constraint: "held_parent_fkey",
    },
  ),
  sql("23514", "FAILED_PRECONDITION", "CHECK_VIOLATION", "INSERT INTO child (name, size) VALUES ($1, -1)", {
    table: "child",
    constraint: "child_size_check",
  }),
  sql(
    "44000",
    "FAILED_PRECONDITION",
    "CHECK_VIOLATION",
    "INSERT INTO small (name, size) VALUES ($1, 50)",
    {},
  ),
  sql(
    "23P01",
    "FAILED_PRECONDITION",
    "EXCLUSION_VIOLATION",
    "INSERT INTO span VALUES ('[1,3)', $1), ('[2,4)', $1)",
    {
      table: "span",
      constraint: "span_during_excl",
    },
  ),
  sql("21000", "FAILED_PRECONDITION", "RAISED", "SELECT (SELECT n FROM generate_series(1, 2) n), $1", {}),
  sql("P0001", "FAILED_PRECONDITION", "RAISED", "INSERT INTO guarded VALUES ('no', $1)", {}),
  sql("AB123", "FAILED_PRECONDITION", "RAISED", "INSERT INTO guarded VALUES ('custom', $1)", {}),
  asIf("25P03", "DEADLINE_EXCEEDED", "TRANSACTION_TIMEOUT"),
  asIf("53100", "RESOURCE_EXHAUSTED", "DATABASE_RESOURCES"),
  asIf("53200", "RESOURCE_EXHAUSTED", "DATABASE_RESOURCES"),
  asIf("XX001", "DATA_LOSS", "DATA_CORRUPTED"),
  asIf("XX002", "DATA_LOSS", "DATA_CORRUPTED"),
  asIf("XX000", "INTERNAL", "DATABASE_INTERNAL"),
  sql(
    "23502",
    "INVALID_ARGUMENT",
    "NOT_NULL_VIOLATION",
    "INSERT INTO child (name, needed) VALUES ($1, NULL)",
    {
      table: "child",
      column: "needed",
    },
  ),
  sql("22003", "INVALID_ARGUMENT", "DATA_EXCEPTION", "SELECT 99999999999::int8::int4, $1", {}),
  sql("22P02", "INVALID_ARGUMENT", "DATA_EXCEPTION", "SELECT $1::uuid", {}),
  sql("22012", "INVALID_ARGUMENT", "DATA_EXCEPTION", "SELECT 1 / (length($1) - length($1))", {}),
  sql("42804", "INVALID_ARGUMENT", "SQL_INVALID", "SELECT $1::text UNION SELECT 1", {}),
  sql("42P01", "FAILED_PRECONDITION", "SCHEMA_MISMATCH", "SELECT $1::text FROM nowhere", {}),
  sql("42703", "FAILED_PRECONDITION", "SCHEMA_MISMATCH", "SELECT missing, $1::text FROM child", {}),
  sql("42883", "FAILED_PRECONDITION", "SCHEMA_MISMATCH", "SELECT no_such_function($1::text)", {}),
  sql("42501", "PERMISSION_DENIED", "INSUFFICIENT_PRIVILEGE", "SELECT $1::text, pg_read_file($1)", {}),
  {
    name: "a text that doesn't parse",
    steps: [ok, step("SELEC 1")],
    code: "INVALID_ARGUMENT",
    seen: { reason: "SQL_INVALID", step: 1 },
  },
  {
    name: "two statements in a text",
    steps: [ok, step("SELECT 1; SELECT 2")],
    code: "INVALID_ARGUMENT",
    seen: { reason: "SQL_INVALID", step: 1 },
  },
  {
    name: "a statement that a step can't be",
    steps: [ok, step("COMMIT")],
    code: "PERMISSION_DENIED",
    seen: { reason: "STATEMENT_NOT_ALLOWED", step: 1 },
  },
  {
    name: "a name that isn't registered",
    steps: [ok, { statement: { case: "name", value: "invites.record_use" } }],
    code: "FAILED_PRECONDITION",
    seen: { reason: "UNKNOWN_STATEMENT", step: 1 },
  },
  sql("57014", "DEADLINE_EXCEEDED", "STATEMENT_TIMEOUT", "SELECT pg_sleep(30), $1", {}),
  {
    name: "more rows than a result may have",
    steps: [ok, step("SELECT n FROM generate_series(1, 10001) n")],
    code: "FAILED_PRECONDITION",
    seen: { reason: "RESULT_TOO_LARGE", step: 1 },
  },
  {
    name: "more bytes in a step's result than an answer may have",
    steps: [ok, step("SELECT repeat('x', 1000000) FROM generate_series(1, 10)")],
    code: "FAILED_PRECONDITION",
    seen: { reason: "RESULT_TOO_LARGE", step: 1 },
  },
  {
    name: "more bytes in all results than an answer may have",
    steps: Array.from({ length: 5 }, () => step("SELECT repeat('x', 1000000)")),
    code: "FAILED_PRECONDITION",
    seen: { reason: "RESULT_TOO_LARGE" },
  },
];

let proxy: ProxyFixture;
beforeAll(async () => {
  proxy = await createProxyFixture({ statementTimeoutMs: 400, lockTimeoutMs: 200 });
  await proxy.allow("pg_sleep(double precision)");
  await proxy.define(`
    CREATE TABLE parent (id int PRIMARY KEY);
    CREATE TABLE held (parent int CONSTRAINT held_parent_fkey REFERENCES parent ON DELETE RESTRICT);
    CREATE TABLE child (name text UNIQUE, parent int REFERENCES parent, size int CHECK (size > 0), needed int NOT NULL DEFAULT 1);
    CREATE VIEW small AS SELECT name, size FROM child WHERE size < 10 WITH CHECK OPTION;
    CREATE TABLE span (during int4range, name text, CONSTRAINT span_during_excl EXCLUDE USING gist (during WITH &&));
    CREATE TABLE guarded (why text, name text);
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      -- Trouble that can't be had on demand, with the code that PostgreSQL gives it.
      IF NEW.why ~ '^[0-9A-Z]{5}$' THEN RAISE EXCEPTION 'as if' USING ERRCODE = NEW.why; END IF;
      IF NEW.why = 'custom' THEN RAISE EXCEPTION 'not like this' USING ERRCODE = 'AB123'; END IF;
      RAISE EXCEPTION 'not at all'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON guarded FOR EACH ROW EXECUTE FUNCTION refuse();
    CREATE TABLE later (id int PRIMARY KEY, parent int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
    INSERT INTO parent VALUES (1); INSERT INTO held VALUES (1)`);
});
afterAll(() => proxy[Symbol.asyncDispose]());

describe("the error table, as a caller sees it", () => {
  it.each(rows)("$name", async ({ steps, code, seen }) => {
    const error = await failureOf(proxy.transaction(steps));
    expect(error).toMatchObject({
      name: "HandlerError",
      code: StatusCode[code],
      outcome: "NOT_COMMITTED",
      retryable: false,
    });
    expect(error).toMatchObject(seen);
  });

  it("a constraint that is checked at COMMIT", async () => {
    const error = await failureOf(proxy.transaction([step("INSERT INTO later VALUES (1, 99)")]));
    expect(error).toMatchObject({
      reason: "FOREIGN_KEY_VIOLATION",
      outcome: "NOT_COMMITTED",
      step: undefined,
      database: { sqlstate: "23503", table: "later" },
    });
    expect(await proxy.sql("SELECT * FROM later")).toEqual([]);
  });

  it("shows no bind value in any message or line of the log", async () => {
    const errors = await Promise.all(rows.map(({ steps }) => failureOf(proxy.transaction(steps))));
    for (const error of errors) expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(SECRET);
    expect(proxy.log.join("\n")).not.toContain(SECRET);
    expect(proxy.log.length).toBeGreaterThan(rows.length);
  });
});

function sql(sqlstate: string, code: Row["code"], reason: string, statement: string, database: object): Row {
  return {
    name: `${sqlstate} ${reason}`,
    steps: [ok, step(statement, secret)],
    code,
    seen: { reason, step: 1, database: { sqlstate, ...database } },
  };
}

function asIf(sqlstate: string, code: Row["code"], reason: string): Row {
  return sql(sqlstate, code, reason, `INSERT INTO guarded VALUES ('${sqlstate}', $1)`, {});
}

function withRef(earlier: number, column: string): StepInit {
  const ref = { step: earlier, row: 0, column };
  return {
    statement: { case: "sql", value: "SELECT $1::int8" },
    params: [{ kind: { case: "ref", value: ref } }],
  };
}

async function failureOf(call: Promise<unknown>): Promise<Error> {
  return call.then(
    () => new Error("nothing failed"),
    (error: unknown) => (error instanceof Error ? error : new Error("no error")),
  );
}
