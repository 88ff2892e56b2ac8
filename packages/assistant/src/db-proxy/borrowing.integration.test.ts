import { StatusCode } from "@tandem/rpc";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  createProxyFixture,
  failureOf,
  int,
  type ProxyFixture,
  step,
  type StepInit,
  text,
} from "../testing/proxy-fixture.ts";

let proxy: ProxyFixture;
beforeEach(async () => {
  // One connection, so that every caller is the next borrower of the last one's.
  proxy = await createProxyFixture({ poolSize: 1, maxWaiting: 1, statementTimeoutMs: 20_000 });
  await proxy.allow(
    "pg_sleep(double precision)",
    "set_config(text, text, boolean)",
    "pg_advisory_lock(bigint)",
  );
});
afterEach(() => proxy[Symbol.asyncDispose]());

const valueOf = async (sql: string): Promise<unknown> => {
  const { results } = await proxy.transaction([step(sql)]);
  return results[0]?.rows[0]?.values[0]?.kind.value;
};

describe("the next borrower of a connection", () => {
  it("finds none of the last one's settings, whether that wrote or read, committed or not", async () => {
    const set = "set_config('TimeZone', 'Asia/Tokyo', false), set_config('bytea_output', 'escape', false)";
    const before = await valueOf("SELECT pg_backend_pid()");
    await proxy.transaction([step(`SELECT ${set}`)]);
    await failureOf(proxy.transaction([step(`SELECT ${set}`), step("SELECT 1 / 0")]));
    await proxy.client.query({ statement: { case: "sql", value: `SELECT ${set}` } });
    await proxy.client.query({
      statement: { case: "sql", value: "SELECT set_config('default_transaction_read_only', 'on', false)" },
    });
    expect(await valueOf("SELECT '\\x0102'::bytea")).toEqual(Uint8Array.of(1, 2));
    expect(await valueOf("SELECT '2026-01-02 03:04:05+00'::timestamptz")).toMatchObject({
      seconds: 1_767_323_045n,
    });
    expect(await valueOf("SELECT current_setting('default_transaction_read_only')")).toBe("off");
    expect(await valueOf("SELECT pg_backend_pid()"), "it is the same connection").toBe(before);
  });

  it("finds none of the last one's advisory locks", async () => {
    await proxy.transaction([step("SELECT pg_advisory_lock(7)")]);
    await expect
      .poll(() =>
        proxy.sql(
          "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        ),
      )
      .toEqual([]);
  });

  it("is not hurt when the last one's transaction could not even begin", async () => {
    // The whole beginning takes longer than its own statement may: it fails between BEGIN and the first step.
    const hurried = { statementTimeout: { nanos: 1_000_000 }, transactionTimeout: { nanos: 1_000_000 } };
    for (let round = 0; round < 50; round += 1) {
      await failureOf(proxy.client.transaction({ steps: [step("SELECT 1")], ...hurried }));
      expect(await valueOf("SELECT 1")).toBe(1n);
    }
  });

  it("waits no longer than its caller; one may wait, and what comes beyond is told OVERLOADED at once", async () => {
    const holder = proxy.transaction([step("SELECT pg_sleep(1.5)")]);
    await expect.poll(() => running("pg_sleep(1.5)")).toBe(1);
    expect(await failureOf(proxy.transaction([step("SELECT 1")], { timeoutMs: 100 }))).toMatchObject({
      code: StatusCode.DEADLINE_EXCEEDED,
    });
    // The same text as the others: a new one would be parsed first, and come after them.
    const waiting = proxy.transaction([step("SELECT 1")]);
    const started = performance.now();
    const beyond = await Promise.all(
      Array.from({ length: 30 }, () => failureOf(proxy.transaction([step("SELECT 1")]))),
    );
    expect(performance.now() - started).toBeLessThan(1_000);
    for (const end of beyond) {
      expect(end).toMatchObject({
        reason: "OVERLOADED",
        outcome: "NOT_COMMITTED",
        retryable: true,
        retryAfterMs: 100,
      });
    }
    await Promise.all([holder, waiting]);
    expect(await valueOf("SELECT 1")).toBe(1n);
  });
});

describe("a caller that leaves", () => {
  it("is logged as one that left, not as an outage", async () => {
    const caller = new AbortController();
    const call = failureOf(
      proxy.transaction([step("SELECT pg_sleep(20)")], { signal: caller.signal, timeoutMs: 30_000 }),
    );
    await expect.poll(() => running("pg_sleep(20)")).toBe(1);
    caller.abort();
    await call;
    await expect.poll(() => proxy.log.join("")).toContain("CANCELLED_BY_CALLER");
    expect(proxy.log.join("")).not.toContain("DATABASE_UNAVAILABLE");
    expect(await valueOf("SELECT 1")).toBe(1n);
  });
});

describe("an answer that is too large", () => {
  it.each([
    ["one huge value", "SELECT repeat('x', 100000000)"],
    [
      "many NULLs",
      `SELECT ${Array.from({ length: 1_000 }, () => "NULL").join(", ")} FROM generate_series(1, 10000)`,
    ],
    ["a list of many small elements", "SELECT array_fill(1, ARRAY[2000000])"],
    ["many rows", "SELECT n, repeat('x', 2000) FROM generate_series(1, 9999) n"],
  ])("is refused before it fills the memory: %s", async (_, sql) => {
    const before = process.memoryUsage().rss;
    const error = await failureOf(proxy.transaction([step("SELECT 1"), step(sql)]));
    expect(error).toMatchObject({ reason: "RESULT_TOO_LARGE", outcome: "NOT_COMMITTED", step: 1 });
    expect(process.memoryUsage().rss - before).toBeLessThan(150 * 1024 * 1024);
    expect(await valueOf("SELECT 1")).toBe(1n);
  });

  it("is refused also where each step's alone would fit, and for a query", async () => {
    const large = "SELECT repeat('x', 3000000)";
    expect(await failureOf(proxy.transaction([step(large), step(large)]))).toMatchObject({
      reason: "RESULT_TOO_LARGE",
    });
    const query = proxy.client.query({ statement: { case: "sql", value: "SELECT repeat('x', 4200000)" } });
    expect(await failureOf(query)).toMatchObject({ reason: "RESULT_TOO_LARGE", outcome: "NOT_COMMITTED" });
  });
});

describe("a reference", () => {
  const withRef = (sql: string, column: string): StepInit => ({
    statement: { case: "sql", value: sql },
    params: [{ kind: { case: "ref", value: { step: 0, row: 0, column } } }],
  });

  it.each([
    ["bytes", "SELECT '\\x0007'::bytea AS v", "SELECT $1::bytea"],
    ["NULL", "SELECT NULL::int8 AS v", "SELECT $1::int8"],
    ["a list", "SELECT ARRAY['a', NULL, 'b,c'] AS v", "SELECT $1::text[]"],
    ["a timestamp", "SELECT now() AS v", "SELECT $1::timestamptz"],
    ["JSON", `SELECT '{"a": 1}'::jsonb AS v`, "SELECT $1::jsonb"],
    ["a uuid", "SELECT gen_random_uuid() AS v", "SELECT $1::uuid"],
  ])("carries %s unchanged", async (_, from, to) => {
    const { results } = await proxy.transaction([step(from), withRef(to, "v")]);
    expect(results[1]?.rows[0]?.values[0]).toEqual(results[0]?.rows[0]?.values[0]);
  });

  it.each([
    [
      "bytes where an integer is taken",
      "SELECT '\\x0000000000000007'::bytea AS v",
      "SELECT $1::int8",
      "INVALID_REQUEST",
    ],
    ["text where bytes are taken", "SELECT '\\x4142'::text AS v", "SELECT $1::bytea", "INVALID_REQUEST"],
    [
      "a name that two columns have",
      "SELECT 1::int8 AS v, 2::int8 AS v",
      "SELECT $1::int8",
      "UNRESOLVED_REF",
    ],
  ])("is refused with the step: %s", async (_, from, to, reason) => {
    expect(await failureOf(proxy.transaction([step(from), withRef(to, "v")]))).toMatchObject({
      reason,
      step: 1,
    });
  });
});

describe("the count of changes", () => {
  it.each([
    [
      "MERGE",
      "MERGE INTO counted USING (VALUES (1), (2), (9)) AS s(id) ON counted.id = s.id WHEN MATCHED THEN UPDATE SET n = n + 1 WHEN NOT MATCHED THEN INSERT VALUES (s.id, 0)",
      3n,
    ],
    ["ON CONFLICT DO NOTHING", "INSERT INTO counted VALUES (1, 5) ON CONFLICT DO NOTHING", 0n],
    [
      "ON CONFLICT DO UPDATE",
      "INSERT INTO counted VALUES (1, 5), (7, 5) ON CONFLICT (id) DO UPDATE SET n = 6",
      2n,
    ],
    ["a CTE's changes", "WITH gone AS (DELETE FROM counted RETURNING id) SELECT count(*) FROM gone", 1n],
    ["DELETE", "DELETE FROM counted", 2n],
  ])("is the outermost command's: %s", async (_, sql, changes) => {
    await proxy.define(
      "CREATE TABLE counted (id int PRIMARY KEY, n int); INSERT INTO counted VALUES (1, 0), (2, 0)",
    );
    const { results } = await proxy.transaction([{ ...step(sql), minChanges: changes, maxChanges: changes }]);
    expect(results[0]?.changes).toBe(changes);
  });
});

describe("validate_only", () => {
  it("finds what only COMMIT would find", async () => {
    await proxy.define(
      "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (parent int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
    );
    const call = proxy.client.transaction({
      steps: [step("INSERT INTO child VALUES ($1)", int(9))],
      validateOnly: true,
    });
    expect(await failureOf(call)).toMatchObject({
      reason: "FOREIGN_KEY_VIOLATION",
      outcome: "NOT_COMMITTED",
    });
  });
});

describe("types of the owner's own", () => {
  it("are text in PostgreSQL's form, also where they have the name of another", async () => {
    await proxy.define("CREATE TYPE public.int8 AS (a int, b text)");
    const { results } = await proxy.transaction([step("SELECT $1::public.int8", text("(1,x)"))]);
    expect(results[0]?.rows[0]?.values[0]?.kind).toEqual(text("(1,x)"));
  });
});

async function running(part: string): Promise<number> {
  const rows = await proxy.sql(
    `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%${part}%' AND pid <> pg_backend_pid()`,
  );
  return rows.length;
}
