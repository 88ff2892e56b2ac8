import { loadModule, parseSync } from "libpg-query";
import { Client, type DatabaseError } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  exampleCaller,
  examplePolicy,
  exampleTables,
  grantsTo,
  readAllowedStatements,
  readHostileStatements,
} from "../../testing/example-policy.ts";
import { createSqlMutations } from "../../testing/mutate-sql.ts";
import { judge } from "./judge.ts";
import { parsePolicy } from "./parse-policy.ts";
import { readAccess } from "./read-access.ts";
import {
  catalogueOf,
  createProxyFixture,
  failureOf,
  type ProxyFixture,
  step,
} from "../../testing/proxy-fixture.ts";

const hostile = readHostileStatements();

let proxy: ProxyFixture;
beforeAll(async () => {
  proxy = await createProxyFixture({}, examplePolicy);
  await proxy.define(exampleTables);
});
afterAll(() => proxy[Symbol.asyncDispose]());

const reasons = { grammar: "SQL_INVALID", tree: "STATEMENT_NOT_ALLOWED" };

/** Of the statements, those that a call doesn't refuse for the reason of their layer. */
async function notRefused(call: (sql: string) => Promise<unknown>): Promise<readonly unknown[]> {
  const found: unknown[] = [];
  for (const { sql, why, layer } of hostile) {
    const failure = await failureOf(call(sql));
    const reason = failure instanceof Error && "reason" in failure ? failure.reason : failure;
    if (reason !== reasons[layer]) found.push({ sql, why, layer, reason });
  }
  return found;
}

describe("a hostile statement", () => {
  it("is refused by the layer that is said to, as a step and as a query, and PostgreSQL hears nothing", async () => {
    expect(hostile.length).toBeGreaterThan(250);
    expect(await notRefused((sql) => proxy.transaction([step(sql)]))).toEqual([]);
    expect(await notRefused((sql) => proxy.client.query({ statement: { case: "sql", value: sql } }))).toEqual(
      [],
    );
    expect(proxy.relay.bytes()).toEqual({ toServer: 0, toClient: 0 });
  });

  it("is refused with the step that it is, and nothing of the others is there", async () => {
    const steps = [step("INSERT INTO people (id) VALUES (1)"), step("UPDATE people SET role = 'admin'")];
    await expect(proxy.transaction(steps)).rejects.toMatchObject({
      reason: "STATEMENT_NOT_ALLOWED",
      message: 'This caller may not update the column "role" of the table "people".',
      outcome: "NOT_COMMITTED",
      step: 1,
    });
    expect(await proxy.sql("SELECT * FROM people")).toEqual([]);
  });
});

const MUTATIONS = 10_000;
const INSUFFICIENT_PRIVILEGE = "42501";

async function sqlstateOf(query: Promise<unknown>): Promise<string> {
  return query.then(
    () => "nothing failed",
    (error: DatabaseError) => error.code ?? error.message,
  );
}

describe("a policy", () => {
  it("lets its caller's statements through to PostgreSQL", async () => {
    const refused: unknown[] = [];
    for (const sql of readAllowedStatements()) {
      const failure = await failureOf(proxy.client.transaction({ steps: [step(sql)], validateOnly: true }));
      if (failure instanceof Error && "reason" in failure && failure.reason === "STATEMENT_NOT_ALLOWED") {
        refused.push({ sql, message: failure.message });
      }
    }
    expect(refused).toEqual([]);
  });

  it("judges the text that PostgreSQL runs, also where that reads backslashes by default", async () => {
    const database = new URL(proxy.databaseUrl).pathname.slice(1);
    await proxy.sql(`ALTER DATABASE "${database}" SET standard_conforming_strings = off`);
    const statement = { case: "sql" as const, value: "SELECT '\\' AS \"', secret FROM people --\"" };
    try {
      await using fresh = await proxy.addReplica();
      const { columns } = await fresh.client.query({ statement });
      expect(columns.map(({ name }) => name)).toEqual(["', secret FROM people --"]);
    } finally {
      await proxy.sql(`ALTER DATABASE "${database}" RESET standard_conforming_strings`);
    }
  });

  it("refuses a query that would write or lock, also where its caller may", async () => {
    const query = (sql: string) => proxy.client.query({ statement: { case: "sql", value: sql } });
    for (const sql of [
      "WITH x AS (DELETE FROM channels) SELECT 1",
      "SELECT id FROM people FOR UPDATE",
      "DELETE FROM channels",
    ]) {
      await expect(query(sql)).rejects.toMatchObject({ reason: "STATEMENT_NOT_ALLOWED" });
    }
    expect(await query("SELECT 1 AS one")).toMatchObject({ columns: [{ name: "one" }] });
  });
});

describe("what a policy lets through", () => {
  const role = `policy_witness_${process.pid}`;
  let client: Client;
  beforeAll(async () => {
    client = new Client({ connectionString: proxy.databaseUrl });
    await client.connect();
    await client.query(
      `CREATE ROLE ${role}; ${grantsTo(role)}; SET ROLE ${role}; SET statement_timeout = '1s'`,
    );
  });
  afterAll(async () => {
    await client.query(`RESET ROLE; DROP OWNED BY ${role}; DROP ROLE ${role}`);
    await client.end();
  });

  /** PostgreSQL asks for every right when it has planned a statement, also where it is not run. */
  const planned = async (sql: string): Promise<string> => {
    return sqlstateOf(client.query({ text: `EXPLAIN (GENERIC_PLAN) ${sql}` }));
  };

  it("is let through by PostgreSQL, too, where a role has the rights that the policy gives", async () => {
    const rules = { policy: exampleCaller(), catalogue: await catalogueOf(proxy) };
    await loadModule();
    const next = createSqlMutations([...readAllowedStatements(), ...hostile.map(({ sql }) => sql)], 7);
    const ends = new Map<string, number>();
    const found: unknown[] = [];
    for (let count = 0; count < MUTATIONS; count += 1) {
      const sql = next();
      const tree = parse(sql);
      if (tree === undefined || judge(readAccess(tree), rules) !== undefined) continue;
      const code = await planned(sql);
      ends.set(code, (ends.get(code) ?? 0) + 1);
      if (code === INSUFFICIENT_PRIVILEGE) found.push(sql);
    }
    expect(found).toEqual([]);
    expect(ends.get("nothing failed")).toBeGreaterThan(MUTATIONS / 200);
  });

  it("is every one of the examples, which PostgreSQL can plan", async () => {
    for (const sql of readAllowedStatements()) {
      expect(await planned(sql), sql).not.toBe(INSUFFICIENT_PRIVILEGE);
    }
  });

  it("is not what a role without those rights is refused", async () => {
    expect(await planned("SELECT secret FROM people")).toBe(INSUFFICIENT_PRIVILEGE);
  });
});

function parse(sql: string): unknown {
  try {
    const { stmts = [] } = parseSync(sql) as { readonly stmts?: readonly { readonly stmt: unknown }[] };
    return stmts.length === 1 ? stmts[0]?.stmt : undefined;
  } catch {
    return undefined;
  }
}

describe("a caller", () => {
  it.each([
    ["that the policy doesn't know", "version: 1\ncallers: {}", "doesn't know this caller"],
    [
      "that may send names alone",
      "version: 1\ncallers: { anonymous: { statements: [a.b] } }",
      "registered statements by their names",
    ],
  ])("%s is refused whatever it sends", async (_, text, message) => {
    await using strict = await createProxyFixture({}, parsePolicy(text));
    const statement = { case: "sql" as const, value: "SELECT 1" };
    for (const call of [strict.transaction([{ statement }]), strict.client.query({ statement })]) {
      await expect(call).rejects.toMatchObject({
        reason: "STATEMENT_NOT_ALLOWED",
        message: expect.stringContaining(message),
        outcome: "NOT_COMMITTED",
      });
    }
    expect(strict.relay.bytes().toServer).toBe(0);
  });
});
