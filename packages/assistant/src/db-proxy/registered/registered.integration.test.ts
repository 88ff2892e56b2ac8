import { createLogger } from "@tandem/rpc";
import { type DeclaredStatement, defineStatement } from "@tandem/statements";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { identified } from "../../testing/identified.ts";
import {
  createProxyFixture,
  failureOf,
  int,
  type ProxyFixture,
  step,
  type StepInit,
  text,
} from "../../testing/proxy-fixture.ts";
import { createDbProxy } from "../db-proxy.ts";
import { parsePolicy } from "../policy/parse-policy.ts";
import { RegistrationError } from "./registration-error.ts";

const put = defineStatement({
  name: "items.put",
  params: { id: "int8", name: "text", tags: "text[] | null" },
  sql: `INSERT INTO items (id, name, tags) VALUES ($1, $2, $3)
        ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, tags = EXCLUDED.tags RETURNING id, name`,
  result: { id: "int8", name: "text" },
});
const byId = defineStatement({
  name: "items.by_id",
  params: { id: "int8" },
  sql: "SELECT id, name, tags FROM items WHERE id = $1",
  result: { id: "int8", name: "text", tags: "text[] | null" },
});
const lock = defineStatement({
  name: "items.lock",
  params: { id: "int8" },
  sql: "SELECT id FROM items WHERE id = $1 FOR UPDATE",
  result: { id: "int8" },
});
const all = [put, byId, lock];

let proxy: ProxyFixture;
beforeAll(async () => {
  proxy = await createProxyFixture({}, undefined, all);
  await proxy.define(`
    CREATE TYPE mood AS ENUM ('happy', 'sad');
    CREATE DOMAIN label AS text;
    CREATE TABLE items (id int8 PRIMARY KEY, name text NOT NULL DEFAULT 'x', tags text[], mood mood, label label);
    CREATE TABLE changing (id int8, value int8)`);
  await proxy.define("CREATE TABLE hidden (id int8)");
  await proxy.sql("REVOKE ALL ON hidden FROM assistant_dbproxy");
});
afterAll(() => proxy[Symbol.asyncDispose]());

/** What is wrong with declarations, in the eyes of a starting owner. */
async function problemsOf(...registered: readonly DeclaredStatement[]): Promise<readonly string[]> {
  const logger = createLogger({ service: "assistant", level: "silent" });
  await using starting = await createDbProxy({ url: proxy.roleUrl, registered, logger });
  const failure = await failureOf(starting.checkRegistered(new AbortController().signal));
  if (failure instanceof RegistrationError) return failure.problems;
  expect(failure).toBe("nothing failed");
  return [];
}

const named = (name: string, ...values: Parameters<typeof step>[1][]): StepInit => ({
  ...step("", ...values),
  statement: { case: "name", value: name },
});
const putItem = (id: number, name: string): StepInit => named("items.put", int(id), text(name), undefined);

describe("the check at the owner's start", () => {
  it("finds nothing where the database is as declared, with enums, domains and arrays", async () => {
    const moods = defineStatement({
      name: "items.moods",
      params: { mood: "mood", label: "text", tags: "text[]" },
      sql: "UPDATE items SET mood = $1, label = $2, tags = $3 RETURNING mood, label, tags, count(*) OVER () AS n",
      result: { mood: "mood | null", label: "text | null", tags: "text[] | null", n: "int8" },
    });
    // A window function may not stand in RETURNING: the text is PostgreSQL's to judge.
    expect(await problemsOf(moods)).toEqual([expect.stringContaining("items.moods: PostgreSQL refuses it")]);
    const mended = { ...moods, sql: moods.sql.replace("count(*) OVER ()", "1::int8") };
    expect(await problemsOf(...all, mended)).toEqual([]);
  });

  it("names the statement, the parameter or column, and both types, for everything that differs", async () => {
    const wrong = [
      { ...put, params: { id: "int4", name: "text", tags: "text" } },
      { ...byId, result: { id: "int8", name: "varchar", tags: "text[]", more: "bool" } },
    ];
    expect(await problemsOf(...wrong, lock)).toEqual([
      'items.put: its parameter "id" ($1) is declared as int4, and PostgreSQL takes int8.',
      'items.put: its parameter "tags" ($3) is declared as text, and PostgreSQL takes text[].',
      'items.by_id: its column "name" is declared as varchar, and PostgreSQL gives text.',
      'items.by_id: its column "more" is declared and not there: it returns id, name, tags.',
    ]);
  });

  it.each<[string, string, string]>([
    ["a table that isn't there", "SELECT 1 FROM nothing", 'relation "nothing" does not exist (42P01)'],
    ["a column that isn't there", "SELECT nothing FROM items", "(42703)"],
    [
      "a table that the role may not read",
      "SELECT count(*) AS one FROM hidden",
      "the dbproxy role may not run it: permission denied for table hidden (42501)",
    ],
    ["a table of PostgreSQL's own", "SELECT count(*) AS one FROM pg_authid", "(42501)"],
  ])("says what PostgreSQL says of %s", async (_, sql, says) => {
    const statement = defineStatement({ name: "a.b", sql, result: { one: "int8" } });
    expect(await problemsOf(statement)).toEqual([
      expect.stringMatching(/^a\.b: (PostgreSQL|the dbproxy role)/),
    ]);
    expect((await problemsOf(statement))[0]).toContain(says);
  });

  it("says so where PostgreSQL can't tell a parameter's type", async () => {
    const sql = "SELECT 1 AS one WHERE $1 IS NULL";
    const statement = defineStatement({ name: "a.b", params: { x: "int8" }, sql, result: { one: "int4" } });
    expect(await problemsOf(statement)).toEqual([
      "a.b: PostgreSQL refuses it: could not determine data type of parameter $1 (42P18).",
    ]);
    expect(await problemsOf({ ...statement, sql: sql.replace("$1", "$1::int8") })).toEqual([]);
  });

  it("runs nothing", async () => {
    await proxy.sql("INSERT INTO items (id) VALUES (-1)");
    const purge = defineStatement({ name: "items.purge", sql: "DELETE FROM items" });
    const sleep = defineStatement({
      name: "items.sleep",
      sql: "SELECT 1 AS n FROM items WHERE 1 / (id - id) = 1",
      result: { n: "int4" },
    });
    expect(await problemsOf(purge, sleep)).toEqual([]);
    expect(await proxy.sql("SELECT id FROM items WHERE id = -1")).toHaveLength(1);
  });

  it("ends at once where the role isn't let in", async () => {
    const logger = createLogger({ service: "assistant", level: "silent" });
    const url = Object.assign(new URL(proxy.roleUrl), { password: "wrong" }).href;
    await using shutOut = await createDbProxy({ url, registered: all, logger });
    const refused = { name: "HandlerError", database: { sqlstate: "28P01" } };
    await expect(shutOut.checkRegistered(AbortSignal.timeout(10_000))).rejects.toMatchObject(refused);
  });

  it("waits for a database that is away, until it is told to stop", async () => {
    await using replica = await proxy.addReplica();
    replica.relay.refuse();
    let onLine = (): unknown => replica.relay.accept();
    const logged: string[] = [];
    const destination = {
      write: (line: string) => {
        logged.push(line);
        void onLine();
      },
    };
    const logger = createLogger({ service: "assistant", destination });
    const url = Object.assign(new URL(proxy.roleUrl), { port: String(replica.relay.port) }).href;
    await using starting = await createDbProxy({ url, registered: all, logger });
    await starting.checkRegistered(AbortSignal.timeout(15_000));
    expect(logged.join("")).toContain("waiting to check the registered statements");

    replica.relay.refuse();
    replica.relay.cut();
    const told = new AbortController();
    onLine = () => told.abort();
    await expect(starting.checkRegistered(told.signal)).rejects.toMatchObject({
      name: "AbortError",
    });
  });
});

describe("a statement by its name", () => {
  it("is run as a step, beside others, with guards and references", async () => {
    const { results } = await proxy.transaction([
      { ...putItem(1, "one"), minChanges: 1n },
      {
        statement: { case: "name", value: "items.by_id" },
        params: [{ kind: { case: "ref", value: { step: 0, row: 0, column: "id" } } }],
      },
      step("SELECT name FROM items WHERE id = $1", int(1)),
    ]);
    expect(results[1]?.rows).toMatchObject([
      { values: [{ kind: { value: 1n } }, { kind: { value: "one" } }, { kind: { case: undefined } }] },
    ]);
    const unmet = proxy.transaction([putItem(2, "two"), { ...putItem(3, "three"), minChanges: 2n }]);
    await expect(unmet).rejects.toMatchObject({ reason: "GUARD_UNMET", step: 1 });
    expect(await proxy.sql("SELECT * FROM items WHERE id IN (2, 3)")).toEqual([]);
  });

  it("is run as a query where it only reads", async () => {
    const query = (name: string) =>
      proxy.client.query({
        statement: { case: "name", value: name },
        params: [{ kind: { case: "intValue", value: 1n } }],
      });
    expect(await query("items.by_id")).toMatchObject({ columns: [{ name: "id" }, { name: "name" }, {}] });
    for (const name of ["items.put", "items.lock"]) {
      await expect(query(name)).rejects.toMatchObject({
        reason: "STATEMENT_NOT_ALLOWED",
        message: `A query reads: ${name} would write or lock.`,
      });
    }
    await expect(query("items.none")).rejects.toMatchObject({ reason: "UNKNOWN_STATEMENT" });
  });

  it("that isn't registered is UNKNOWN_STATEMENT, with its step, and nothing is committed", async () => {
    const unknown = proxy.transaction([putItem(4, "four"), named("items.none")]);
    await expect(unknown).rejects.toMatchObject({
      reason: "UNKNOWN_STATEMENT",
      message: 'There is no registered statement "items.none" here.',
      outcome: "NOT_COMMITTED",
      retryable: false,
      step: 1,
    });
    expect(await proxy.sql("SELECT * FROM items WHERE id = 4")).toEqual([]);
    // Of a resend that is said only when the id is settled.
    const request = { ...identified(), attempt: 1, steps: [named("items.none")] };
    await expect(proxy.client.transaction(request)).rejects.toMatchObject({
      reason: "UNKNOWN_STATEMENT",
      outcome: "NOT_COMMITTED",
    });
    await expect(proxy.client.transaction({ ...request, steps: [putItem(4, "four")] })).rejects.toMatchObject(
      { reason: expect.stringMatching(/^REQUEST_/) },
    );
  });

  it.each<[string, StepInit, string]>([
    ["too few values", named("items.put", int(1)), "steps[0].params has 1 values for the 3 parameters"],
    [
      "a value of another kind",
      named("items.put", text("1"), text("x"), undefined),
      "steps[0].params[0] is a text, where PostgreSQL takes int8",
    ],
    [
      "a NULL where none is declared",
      named("items.put", int(1), undefined, undefined),
      'steps[0].params[1] is NULL, which the parameter "name" of items.put can\'t be',
    ],
  ])("doesn't take %s", async (_, given, says) => {
    await expect(proxy.transaction([given])).rejects.toMatchObject({
      reason: "INVALID_REQUEST",
      message: expect.stringContaining(says),
      step: 0,
    });
  });

  it("is applied once under a request_id, which is that of its name and values", async () => {
    const request = { ...identified(), steps: [putItem(5, "five")] };
    expect(await proxy.client.transaction(request)).toMatchObject({ replayed: false });
    await proxy.sql("UPDATE items SET name = 'changed' WHERE id = 5");
    const again = await proxy.client.transaction({ ...request, attempt: 1 });
    expect(again).toMatchObject({ replayed: true, results: [{ changes: 1n, rows: [{}] }] });
    expect(await proxy.sql("SELECT name FROM items WHERE id = 5")).toEqual([{ name: "changed" }]);
    const reused = { reason: "REQUEST_ID_REUSED" };
    const { params = [] } = putItem(5, "five");
    const asText = { statement: { case: "sql" as const, value: put.sql }, params };
    for (const steps of [[asText], [putItem(5, "other")], [{ ...putItem(5, "five"), minChanges: 1n }]]) {
      await expect(proxy.client.transaction({ ...request, attempt: 1, steps })).rejects.toMatchObject(reused);
    }
    const receipt = await proxy.client.getReceipt({ requestId: request.requestId, fence: true });
    expect(receipt.response?.results).toMatchObject([{ changes: 1n }]);
  });

  it("is listed by a probe", async () => {
    expect((await proxy.client.probe({})).statements).toEqual(["items.put", "items.by_id", "items.lock"]);
  });
});

describe("a database that has changed since the start", () => {
  const changing = defineStatement({
    name: "changing.add",
    params: { id: "int8", value: "int8" },
    sql: "INSERT INTO changing VALUES ($1, $2) RETURNING value",
    result: { value: "int8" },
  });
  const nulls = defineStatement({
    name: "changing.null",
    params: { id: "int8" },
    sql: "INSERT INTO changing VALUES ($1) RETURNING value",
    result: { value: "int8" },
  });
  const arrays = defineStatement({
    name: "changing.arrays",
    params: { id: "int8", bounds: "text" },
    sql: "INSERT INTO changing VALUES ($1) RETURNING $2::text::int8[] AS value".replace(
      "::int8[]::text",
      "::text",
    ),
    result: { value: "int8[]" },
  });

  it.each<[string, StepInit, string]>([
    ["a NULL", named("changing.null", int(1)), "is declared without NULL, and has one"],
    ["a matrix", named("changing.arrays", int(1), text("{{1,2},{3,4}}")), "several dimensions"],
    ["another lower bound", named("changing.arrays", int(1), text("[0:1]={1,2}")), "another lower bound"],
  ])("gives no caller what isn't declared: %s rolls back, with the step", async (_, given, says) => {
    await using fixture = await createProxyFixture({}, undefined, [changing, nulls, arrays]);
    await fixture.define("CREATE TABLE changing (id int8, value int8)");
    await expect(fixture.transaction([step("SELECT 1"), given])).rejects.toMatchObject({
      reason: "SCHEMA_MISMATCH",
      message: expect.stringContaining(says),
      outcome: "NOT_COMMITTED",
      step: 1,
    });
    expect(await fixture.sql("SELECT * FROM changing")).toEqual([]);
    const plain = await fixture.transaction([named("changing.arrays", int(1), text("{1,NULL}"))]);
    expect(plain.results).toMatchObject([{ changes: 1n }]);
  });

  it("may have got a column that a statement now returns, too", async () => {
    const everything = defineStatement({
      name: "changing.all",
      sql: "SELECT * FROM changing",
      result: { id: "int8", value: "int8" },
    });
    await using fixture = await createProxyFixture({}, undefined, [everything]);
    await fixture.define("CREATE TABLE changing (id int8, value int8, later int8)");
    await fixture.transaction([named("changing.all")]);
    // Who declares it now has to say so.
    await proxy.sql("ALTER TABLE changing ADD later int8");
    expect(await problemsOf(everything)).toEqual([
      'changing.all: it returns a column "later" (int8) that isn\'t declared.',
    ]);
  });

  it("refuses a statement whose types are others now, before it is run", async () => {
    await using fixture = await createProxyFixture({}, undefined, [changing]);
    await fixture.define("CREATE TABLE changing (id int8, value numeric)");
    await expect(fixture.transaction([named("changing.add", int(1), int(1))])).rejects.toMatchObject({
      reason: "SCHEMA_MISMATCH",
      message:
        'changing.add is not what its owner declared: its parameter "value" ($2) is declared as int8, and PostgreSQL takes numeric.',
      step: 0,
    });
  });
});

describe("a caller with a policy", () => {
  const allow = (rules: string) => parsePolicy(`version: 1\ncallers: { anonymous: { ${rules} } }`);
  const define = "CREATE TABLE items (id int8 PRIMARY KEY, name text NOT NULL DEFAULT 'x', tags text[])";

  it("runs the names that it may, whatever tables they touch, and learns nothing of the others", async () => {
    await using fixture = await createProxyFixture({}, allow("statements: [items.put, items.gone]"), all);
    await fixture.define(define);
    expect((await fixture.transaction([putItem(1, "one")])).results).toMatchObject([{ changes: 1n }]);
    for (const name of ["items.by_id", "items.none"]) {
      const refused = {
        reason: "STATEMENT_NOT_ALLOWED",
        message: `The statement "${name}" may not be used by this caller.`,
      };
      const call = fixture.transaction([putItem(2, "two"), named(name)]);
      await expect(call).rejects.toMatchObject({ ...refused, step: 1, outcome: "NOT_COMMITTED" });
      const statement = { case: "name" as const, value: name };
      await expect(fixture.client.query({ statement })).rejects.toMatchObject(refused);
    }
    await expect(fixture.transaction([named("items.gone")])).rejects.toMatchObject({
      reason: "UNKNOWN_STATEMENT",
    });
    await expect(fixture.transaction([step(put.sql)])).rejects.toMatchObject({
      reason: "STATEMENT_NOT_ALLOWED",
    });
    expect((await fixture.client.probe({})).statements).toEqual(["items.put"]);
  });

  it("runs every name where it may use all", async () => {
    await using fixture = await createProxyFixture({}, allow("statements: all"), all);
    await fixture.define(define);
    const { results } = await fixture.transaction([putItem(1, "one"), named("items.by_id", int(1))]);
    expect(results).toMatchObject([{ changes: 1n }, { changes: 1n }]);
    await expect(fixture.transaction([named("items.none")])).rejects.toMatchObject({
      reason: "UNKNOWN_STATEMENT",
    });
    expect((await fixture.client.probe({})).statements).toHaveLength(3);
  });

  it("runs none where it may use none, nor learns any, as one that the policy doesn't know", async () => {
    for (const policy of [allow("sql: true"), parsePolicy("version: 1\ncallers: {}")]) {
      await using fixture = await createProxyFixture({}, policy, all);
      await expect(fixture.transaction([putItem(1, "one")])).rejects.toMatchObject({
        reason: "STATEMENT_NOT_ALLOWED",
      });
      expect((await fixture.client.probe({})).statements).toEqual([]);
    }
  });
});
