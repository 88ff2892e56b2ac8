import { Isolation } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { StatusCode } from "@tandem/rpc";
import { expectNoOpenTransactions } from "@tandem/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  createProxyFixture,
  failureOf,
  int,
  type ProxyFixture,
  step,
  text,
} from "../testing/proxy-fixture.ts";

let proxy: ProxyFixture;
beforeEach(async () => {
  proxy = await createProxyFixture({ lockTimeoutMs: 2_000, poolSize: 4, conflictRetries: 0 });
  await proxy.allow("pg_sleep(double precision)");
  await proxy.define("CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL, note text)");
  await proxy.sql("INSERT INTO account VALUES (1, 100), (2, 100)");
});
afterEach(() => proxy[Symbol.asyncDispose]());

const update = (id: number) => step("UPDATE account SET balance = balance + 1 WHERE id = $1", int(id));
const sleep = (ms: number) => step("SELECT pg_sleep($1::float8 / 1000)", int(ms));
const balances = async () =>
  (await proxy.sql("SELECT balance FROM account ORDER BY id")).map(({ balance }) => balance);

describe("two callers in each other's way", () => {
  it("40P01: one of two that lock crosswise is told DEADLOCK, retryable, and changed nothing", async () => {
    const crosswise = (first: number, second: number) =>
      failureOf(proxy.transaction([update(first), sleep(200), update(second)]));
    const ends = await untilOneFails(() => Promise.all([crosswise(1, 2), crosswise(2, 1)]));
    expect(ends).toContain("nothing failed");
    expect(ends.find((end) => end !== "nothing failed")).toMatchObject({
      code: StatusCode.ABORTED,
      reason: "DEADLOCK",
      outcome: "NOT_COMMITTED",
      retryable: true,
      step: 2,
      retryAfterMs: 50,
      database: { sqlstate: "40P01" },
    });
    const [first, second] = await balances();
    expect(first).toBe(second);
  });

  it("40001: one of two serializable transactions that read what the other writes is told so", async () => {
    const readThenWrite = (read: number, write: number) =>
      failureOf(
        proxy.client.transaction({
          isolation: Isolation.SERIALIZABLE,
          steps: [step("SELECT balance FROM account WHERE id = $1", int(read)), sleep(200), update(write)],
        }),
      );
    const ends = await untilOneFails(() => Promise.all([readThenWrite(1, 2), readThenWrite(2, 1)]));
    expect(ends).toContain("nothing failed");
    expect(ends.find((end) => end !== "nothing failed")).toMatchObject({
      code: StatusCode.ABORTED,
      reason: "SERIALIZATION_FAILURE",
      outcome: "NOT_COMMITTED",
      retryable: true,
      retryAfterMs: 50,
      database: { sqlstate: "40001" },
    });
  });

  it("is not told of it where trying again is allowed: both commit, each once", async () => {
    await using patient = await createProxyFixture({ poolSize: 4 });
    await patient.allow("pg_sleep(double precision)");
    await patient.define("CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL)");
    await patient.sql("INSERT INTO account VALUES (1, 0), (2, 0)");
    const add = (id: number) => step("UPDATE account SET balance = balance + 1 WHERE id = $1", int(id));
    const crosswise = (first: number, second: number) =>
      failureOf(patient.transaction([add(first), sleep(200), add(second)]));
    for (let round = 0; round < 3; round += 1) {
      expect(await Promise.all([crosswise(1, 2), crosswise(2, 1)])).toEqual([
        "nothing failed",
        "nothing failed",
      ]);
    }
    expect(await patient.sql("SELECT balance FROM account")).toEqual([{ balance: 6 }, { balance: 6 }]);
  });

  it("55P03: who can't have a lock in time is told LOCK_TIMEOUT, retryable", async () => {
    const holder = proxy.transaction([update(1), sleep(3_500)]);
    await expect.poll(() => locksOf("account")).toBeGreaterThan(0);
    expect(await failureOf(proxy.transaction([update(1)]))).toMatchObject({
      code: StatusCode.ABORTED,
      reason: "LOCK_TIMEOUT",
      outcome: "NOT_COMMITTED",
      retryable: true,
      step: 0,
      database: { sqlstate: "55P03" },
    });
    await holder;
  });

  it("lets no reader see half of a transaction", async () => {
    const state = { running: true };
    const transfer = async (): Promise<void> => {
      for (let round = 0; round < 100; round += 1) {
        await proxy.transaction([
          step("UPDATE account SET balance = balance - 1 WHERE id = 1"),
          step("UPDATE account SET balance = balance + 1 WHERE id = 2"),
        ]);
      }
      state.running = false;
    };
    const sums = new Set<unknown>();
    let reads = 0;
    const read = async (): Promise<void> => {
      while (state.running) {
        const response = await proxy.client.query({
          statement: { case: "sql", value: "SELECT sum(balance) FROM account" },
        });
        sums.add(response.rows[0]?.values[0]?.kind.value);
        reads += 1;
      }
    };
    await Promise.all([transfer(), read(), read()]);
    expect([...sums]).toEqual([200n]);
    expect(reads).toBeGreaterThan(20);
    expect(await balances()).toEqual([0, 200]);
  });
});

describe("a caller that stops waiting", () => {
  it("has its statement cancelled, and nothing of it committed", async () => {
    const caller = new AbortController();
    const call = failureOf(
      proxy.transaction([update(1), sleep(30_000)], { signal: caller.signal, timeoutMs: 60_000 }),
    );
    await expect.poll(sleepers).toBe(1);
    caller.abort();
    expect(await call).toMatchObject({ name: "TransportError", code: StatusCode.CANCELLED });
    await expect.poll(sleepers).toBe(0);
    expect(await balances()).toEqual([100, 100]);
  });

  it("has its statement ended at its deadline", async () => {
    const call = failureOf(proxy.transaction([update(1), sleep(30_000)], { timeoutMs: 500 }));
    expect(await call).toMatchObject({ code: StatusCode.DEADLINE_EXCEEDED });
    await expect.poll(sleepers).toBe(0);
    expect(await balances()).toEqual([100, 100]);
  });

  it("25P04: a transaction that takes longer than it may is told TRANSACTION_TIMEOUT", async () => {
    const call = proxy.client.transaction({
      steps: [update(1), sleep(300), sleep(300), sleep(300)],
      statementTimeout: { seconds: 5n },
      transactionTimeout: { seconds: 0n, nanos: 500_000_000 },
    });
    expect(await failureOf(call)).toMatchObject({
      code: StatusCode.DEADLINE_EXCEEDED,
      reason: "TRANSACTION_TIMEOUT",
      outcome: "NOT_COMMITTED",
      retryable: false,
    });
    expect(await balances()).toEqual([100, 100]);
  });
});

describe("a database in trouble", () => {
  it("57P01: a terminated backend is DATABASE_UNAVAILABLE, retryable, and the next call works", async () => {
    const call = failureOf(proxy.transaction([update(1), sleep(30_000)]));
    await expect.poll(sleepers).toBe(1);
    await proxy.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep($1%' AND pid <> pg_backend_pid()",
    );
    expect(await call).toMatchObject({
      code: StatusCode.UNAVAILABLE,
      reason: "DATABASE_UNAVAILABLE",
      outcome: "NOT_COMMITTED",
      retryable: true,
      step: 1,
      retryAfterMs: 250,
    });
    await proxy.transaction([update(1)]);
    expect(await balances()).toEqual([101, 100]);
  });

  it("a link that breaks before COMMIT was sent means not committed", async () => {
    const call = failureOf(proxy.transaction([update(1), sleep(30_000)]));
    await expect.poll(sleepers).toBe(1);
    proxy.relay.cut();
    expect(await call).toMatchObject({
      reason: "DATABASE_UNAVAILABLE",
      outcome: "NOT_COMMITTED",
      retryable: true,
    });
    expect(await balances()).toEqual([100, 100]);
  });

  it.each([
    ["the COMMIT is lost on its way", "toServer", [100, 100]],
    ["its answer is lost on the way back", "toClient", [101, 100]],
  ] as const)("a link that breaks during COMMIT means that nobody knows: %s", async (_, direction, after) => {
    await proxy.transaction([step("SELECT 1")]);
    const trigger = proxy.relay.when({ direction, contains: "COMMIT\0" }, (link) => link.cut());
    expect(await failureOf(proxy.transaction([update(1)]))).toMatchObject({
      code: StatusCode.UNKNOWN,
      reason: "COMMIT_OUTCOME_UNKNOWN",
      outcome: "UNKNOWN",
      retryable: true,
    });
    await trigger.fired;
    await expect.poll(balances).toEqual(after);
  });

  it("a server that can't be reached is DATABASE_UNAVAILABLE, and works again when it is back", async () => {
    proxy.relay.refuse();
    proxy.relay.cut();
    expect(await failureOf(proxy.transaction([update(1)]))).toMatchObject({
      code: StatusCode.UNAVAILABLE,
      reason: "DATABASE_UNAVAILABLE",
      outcome: "NOT_COMMITTED",
      retryable: true,
    });
    await proxy.relay.accept();
    await expect.poll(() => failureOf(proxy.transaction([update(1)]))).toBe("nothing failed");
  });

  it("a link that goes silent is given up after the transaction's own bound", async () => {
    const call = failureOf(
      proxy.client.transaction(
        { steps: [update(1), sleep(100)], transactionTimeout: { nanos: 500_000_000 } },
        { timeoutMs: 60_000 },
      ),
    );
    await expect.poll(() => locksOf("account")).toBeGreaterThan(0);
    proxy.relay.stall();
    expect(await call).toMatchObject({
      reason: "DATABASE_UNAVAILABLE",
      outcome: "NOT_COMMITTED",
      retryable: true,
    });
    proxy.relay.resume();
    await expect.poll(balances).toEqual([100, 100]);
  });

  it("53300: a server without a free connection is OVERLOADED, retryable", async () => {
    const [row] = await proxy.sql("SELECT current_database() AS name");
    await proxy.sql(`ALTER DATABASE ${String(row?.["name"])} CONNECTION LIMIT 0`);
    expect(await failureOf(proxy.transaction([update(1)]))).toMatchObject({
      code: StatusCode.RESOURCE_EXHAUSTED,
      reason: "OVERLOADED",
      outcome: "NOT_COMMITTED",
      retryable: true,
      retryAfterMs: 100,
    });
  });

  it("25006: a server that takes no writes is NOT_PRIMARY", async () => {
    const [row] = await proxy.sql("SELECT current_database() AS name");
    await proxy.sql(`ALTER DATABASE ${String(row?.["name"])} SET default_transaction_read_only = on`);
    expect(await failureOf(proxy.transaction([update(1)]))).toMatchObject({
      code: StatusCode.FAILED_PRECONDITION,
      reason: "NOT_PRIMARY",
      outcome: "NOT_COMMITTED",
      retryable: false,
      database: { sqlstate: "25006" },
    });
  });

  it("0A000: what PostgreSQL doesn't support is NOT_SUPPORTED", async () => {
    const call = proxy.transaction([step("SELECT count(*) FROM account FOR UPDATE")]);
    expect(await failureOf(call)).toMatchObject({
      code: StatusCode.UNIMPLEMENTED,
      reason: "NOT_SUPPORTED",
      outcome: "NOT_COMMITTED",
      retryable: false,
      database: { sqlstate: "0A000" },
    });
  });

  it("leaves no transaction open, whatever happened", async () => {
    const cancelled = AbortSignal.timeout(100);
    await Promise.all([
      failureOf(proxy.transaction([update(1), step("SELECT 1 / 0")])),
      failureOf(proxy.transaction([update(2), { ...step("SELECT 1"), minChanges: 5n }])),
      failureOf(proxy.transaction([step("SELECT pg_sleep(20)")], { signal: cancelled })),
      failureOf(proxy.transaction([step("SELECT $1::int8", text("no"))])),
    ]);
    await expectNoOpenTransactions(proxy.databaseUrl);
    expect(await balances()).toEqual([100, 100]);
  });
});

describe("plans and definitions that change under a running service", () => {
  it("don't surface: a column that is added, a type that is made, a column whose type changes", async () => {
    const returning = step("UPDATE account SET balance = balance WHERE id = 1 RETURNING *");
    const columns = async (): Promise<unknown[]> => {
      const { results } = await proxy.transaction([returning]);
      return results[0]?.columns.map(({ name, type }) => `${name} ${type}`) ?? [];
    };
    expect(await columns()).toEqual(["id int4", "balance int4", "note text"]);
    await proxy.define("ALTER TABLE account ADD COLUMN extra numeric DEFAULT 1.50");
    expect(await columns()).toEqual(["id int4", "balance int4", "note text", "extra numeric"]);
    await proxy.define(
      "CREATE TYPE mood AS ENUM ('good', 'bad'); ALTER TABLE account ADD COLUMN mood mood DEFAULT 'good'",
    );
    expect((await columns()).at(-1)).toBe("mood mood");
    await proxy.define("ALTER TABLE account ALTER COLUMN balance TYPE bigint");
    expect((await columns())[1]).toBe("balance int8");
  });
});

describe("a query", () => {
  const query = (sql: string, more: object = {}) =>
    proxy.client.query({ statement: { case: "sql", value: sql }, ...more });

  it("reads what a transaction wrote, at least as fresh as its token says", async () => {
    const { writeToken } = await proxy.transaction([update(1)]);
    const found = await query("SELECT balance FROM account WHERE id = $1", {
      params: [{ kind: int(1) }],
      atLeastAsFresh: writeToken,
    });
    expect(found.rows[0]?.values[0]?.kind).toEqual({ case: "intValue", value: 101n });
  });

  it.each([
    ["an update", "UPDATE account SET balance = 0", "STATEMENT_NOT_ALLOWED"],
    [
      "a write inside a SELECT",
      "WITH gone AS (DELETE FROM account RETURNING 1) SELECT * FROM gone",
      "STATEMENT_NOT_ALLOWED",
    ],
  ])("writes nothing: %s", async (_, sql, reason) => {
    expect(await failureOf(query(sql))).toMatchObject({ code: StatusCode.PERMISSION_DENIED, reason });
    expect(await balances()).toEqual([100, 100]);
  });

  it.each(["nonsense", "1.1.1.1", "1.7710408876035865355.1.99999999999999999"])(
    "refuses a token that isn't of this database: %s",
    async (token) => {
      expect(await failureOf(query("SELECT 1", { atLeastAsFresh: token }))).toMatchObject({
        reason: "INVALID_REQUEST",
        fields: [{ field: "at_least_as_fresh" }],
      });
    },
  );
});

describe("validate_only", () => {
  it("runs everything, tells what it would give, and keeps nothing", async () => {
    const response = await proxy.client.transaction({ steps: [update(1)], validateOnly: true });
    expect(response.results[0]?.changes).toBe(1n);
    expect(response.committedAt).toBeUndefined();
    expect(await balances()).toEqual([100, 100]);
  });
});

async function sleepers(): Promise<number> {
  const rows = await proxy.sql(
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()",
  );
  return rows.length;
}

async function locksOf(table: string): Promise<number> {
  const rows = await proxy.sql(
    `SELECT 1 FROM pg_locks WHERE relation = '${table}'::regclass AND mode = 'RowExclusiveLock'`,
  );
  return rows.length;
}

/** On a busy machine two callers can miss each other. They are sent again until they meet. */
async function untilOneFails(both: () => Promise<unknown[]>): Promise<unknown[]> {
  for (;;) {
    const ends = await both();
    if (ends.some((end) => end !== "nothing failed")) return ends;
  }
}
