import { ReceiptState } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { identified } from "../testing/identified.ts";
import { connectRaw, type RawSession } from "../testing/raw-session.ts";
import type { TcpRelay } from "@tandem/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  createProxyFixture,
  failureOf,
  int,
  type ParamInit,
  type ProxyFixture,
  type Replica,
  step,
  type StepInit,
  text,
} from "../testing/proxy-fixture.ts";

let proxy: ProxyFixture;
beforeEach(async () => {
  // One connection, so that what is prepared is known.
  proxy = await createProxyFixture({ poolSize: 1 });
  await proxy.define("CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL, note text)");
  await proxy.sql("INSERT INTO account VALUES (1, 100, 'one'), (2, 100, 'two')");
});
afterEach(() => proxy[Symbol.asyncDispose]());

const add = (id: number, minChanges?: bigint): StepInit => ({
  ...step("UPDATE account SET balance = balance + 1 WHERE id = $1", int(id)),
  ...(minChanges === undefined ? {} : { minChanges }),
});
const ref = (earlier: number, column: string): ParamInit => ({
  kind: { case: "ref", value: { step: earlier, row: 0, column } },
});
const withParams = (sql: string, ...params: readonly ParamInit[]): StepInit => ({
  statement: { case: "sql", value: sql },
  params: [...params],
});
const returning = (id: number) => step("SELECT id + 1 AS next FROM account WHERE id = $1", int(id));
const backend = "SELECT pg_backend_pid()";
const prepared = "SELECT count(*) FROM pg_prepared_statements";
const balances = async () =>
  (await proxy.sql("SELECT balance FROM account ORDER BY id")).map(({ balance }) => balance);
const valueOf = async (replica: Replica, sql: string): Promise<unknown> => {
  const { results } = await replica.client.transaction({ steps: [step(sql)] });
  return results[0]?.rows[0]?.values[0]?.kind.value;
};

/** How many times PostgreSQL was asked for something and answered, meanwhile. */
async function roundTrips(relay: TcpRelay, work: () => Promise<unknown>): Promise<number> {
  let count = 0;
  const ready = Buffer.from("Z\0\0\0\u0005I");
  const inTransaction = Buffer.from("Z\0\0\0\u0005T");
  const watch = (contains: Buffer): { cancel(): void } => {
    let trigger = { cancel: (): void => undefined };
    const next = (): void => {
      trigger = relay.when({ direction: "toClient", contains, pass: true }, () => {
        count += 1;
        next();
      });
    };
    next();
    return { cancel: () => trigger.cancel() };
  };
  const watches = [watch(ready), watch(inTransaction)];
  await work();
  for (const each of watches) each.cancel();
  return count;
}

describe("round trips", () => {
  it.each([
    ["one step", 2, () => proxy.transaction([add(1)])],
    ["128 steps", 2, () => proxy.transaction(Array.from({ length: 128 }, () => add(1)))],
    ["a key", 2, () => proxy.client.transaction({ steps: [add(1)], serializationKey: "k" })],
    ["validate_only", 2, () => proxy.client.transaction({ steps: [add(1)], validateOnly: true })],
    [
      "a step that waits for another's result",
      3,
      () =>
        proxy.transaction([
          returning(1),
          withParams("UPDATE account SET balance = 0 WHERE id = $1", ref(0, "next")),
        ]),
    ],
    ["a query", 1, () => proxy.client.query({ statement: { case: "sql", value: "SELECT * FROM account" } })],
  ])("are no more than they must be when the texts are known: %s", async (_, expected, call) => {
    await call();
    expect(await roundTrips(proxy.relay, call)).toBe(expected);
  });

  it("are one more for texts that nobody has sent yet, however many", async () => {
    await proxy.transaction([add(1)]);
    const texts = Array.from({ length: 20 }, (_, at) => step(`SELECT ${at}, $1::int4`, int(at)));
    expect(await roundTrips(proxy.relay, () => proxy.transaction(texts))).toBe(3);
  });
});

describe("a step that refers to another", () => {
  it("waits for it; those between go along, and all of them stay in order", async () => {
    const { results } = await proxy.transaction([
      returning(1),
      add(1),
      withParams("SELECT balance, $1::int4 AS id FROM account WHERE id = $1", ref(0, "next")),
      withParams(
        "UPDATE account SET balance = $1::int4 + 5 WHERE id = $2 RETURNING balance",
        ref(2, "balance"),
        ref(2, "id"),
      ),
      step("SELECT balance FROM account ORDER BY id"),
    ]);
    const rows = results.map((result) =>
      result.rows.map(({ values }) => values.map(({ kind }) => kind.value)),
    );
    expect(rows).toEqual([[[2n]], [], [[100n, 2n]], [[105n]], [[101n], [105n]]]);
  });
});

describe("the report is that of one step after the other", () => {
  const fails = step("INSERT INTO account VALUES (1, 0, NULL)");
  const unmet = add(9, 1n);
  const missing = step("SELECT 1 FROM nowhere");
  const refused = step("UPDATE account SET note = $1", int(1));

  it.each([
    ["a guard, not a table that is missing behind it", [unmet, missing], "GUARD_UNMET", 0],
    ["a constraint, not a table that is missing behind it", [add(1), fails, missing], "UNIQUE_VIOLATION", 1],
    ["a guard, not a value that is refused behind it", [unmet, refused], "GUARD_UNMET", 0],
    [
      "a refused value, not a table that is missing behind it",
      [add(1), refused, missing],
      "INVALID_REQUEST",
      1,
    ],
    ["a missing table, not a value that is refused behind it", [missing, refused], "SCHEMA_MISMATCH", 0],
    ["a guard, not a constraint behind it", [unmet, fails], "GUARD_UNMET", 0],
    [
      "a result that is too large, not a guard behind it",
      [step("SELECT repeat('x', 9000000)"), unmet],
      "RESULT_TOO_LARGE",
      0,
    ],
  ])("%s", async (_, steps, reason, at) => {
    // Of texts that nobody knows, that are known, and that are prepared.
    for (let round = 0; round < 3; round += 1) {
      expect(await failureOf(proxy.transaction(steps))).toMatchObject({ reason, step: at });
    }
    expect(await balances()).toEqual([100, 100]);
  });

  it("a guard, not a deadlock behind it, and it isn't tried again", async () => {
    await proxy.define("CREATE SEQUENCE attempts; GRANT USAGE ON attempts TO assistant_dbproxy");
    const counted = step("SELECT nextval('attempts')");
    await using other: RawSession = await connectRaw(proxy.databaseUrl);
    await other.run(
      "BEGIN; SET LOCAL deadlock_timeout = '1min'; UPDATE account SET balance = 0 WHERE id = 2",
    );
    const call = failureOf(proxy.transaction([unmet, counted, add(1), add(2)]));
    await expect
      .poll(() => proxy.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'transactionid'"))
      .toHaveLength(1);
    await other.run("UPDATE account SET balance = 0 WHERE id = 1");
    expect(await call).toMatchObject({ reason: "GUARD_UNMET", step: 0, retryable: false });
    expect(await proxy.sql("SELECT last_value FROM attempts")).toEqual([{ last_value: "1" }]);
    await other.run("ROLLBACK");
  });
});

describe("a flush that failed", () => {
  it("is over when PostgreSQL is ready again, not when it has said why", async () => {
    // Of a text that is known BEGIN and the error come in one flush.
    await failureOf(proxy.transaction([step("SELECT 1 / 0")]));
    const before = await valueOf(proxy, backend);
    const held = proxy.relay.when({ direction: "toClient", contains: Buffer.from("Z\0\0\0\u0005E") }, () =>
      proxy.relay.stall({ direction: "toClient" }),
    );
    const call = failureOf(proxy.transaction([step("SELECT 1 / 0")]));
    await held.fired;
    await proxy.sql("SELECT 1");
    proxy.relay.resume();
    expect(await call).toMatchObject({ database: { sqlstate: "22012" }, step: 0 });
    expect(await valueOf(proxy, backend), "it is the same connection").toBe(before);
  });
});

describe("prepared statements", () => {
  it("count as such only when PostgreSQL has prepared them: an error before one skips it", async () => {
    await proxy.transaction([add(1), step("SELECT 1 / $1::int4", int(1))]);
    // What is known of the texts stays, what is prepared goes with the connection.
    await proxy.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'assistant_dbproxy' AND datname = current_database()",
    );
    await expect.poll(() => proxy.relay.connections()).toBe(0);
    const failing = proxy.transaction([step("SELECT 1 / $1::int4", int(0)), add(1)]);
    expect(await failureOf(failing)).toMatchObject({ database: { sqlstate: "22012" }, step: 0 });
    // Its turn comes when the failed one is rolled back.
    await proxy.transaction([step("SELECT 1")]);
    expect(await roundTrips(proxy.relay, () => proxy.transaction([add(1)]))).toBe(2);
    expect(await balances()).toEqual([102, 100]);
  });

  it("also where it is a statement of our own: the connection is rolled back and stays", async () => {
    const before = await valueOf(proxy, backend);
    await failureOf(proxy.client.query({ statement: { case: "sql", value: "SELECT 1 / 0" } }));
    expect(await valueOf(proxy, backend), "it is the same connection").toBe(before);
  });

  it("are prepared anew when somebody has taken them away", async () => {
    await proxy.define(
      "CREATE FUNCTION forget() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DEALLOCATE ALL'; RETURN 1; END $$; GRANT EXECUTE ON FUNCTION forget() TO assistant_dbproxy",
    );
    await proxy.transaction([add(1)]);
    const before = await valueOf(proxy, backend);
    const call = { statement: { case: "sql", value: "SELECT forget()" } } as const;
    for (let round = 0; round < 2; round += 1) {
      const { rows } = await proxy.client.query(call);
      expect(rows).toHaveLength(1);
      await proxy.transaction([add(1)]);
    }
    expect(await balances()).toEqual([103, 100]);
    expect(await valueOf(proxy, backend), "it is the same connection").toBe(before);
  });

  it("are bounded on each connection, whatever is sent over it", async () => {
    const texts = (from: number) => Array.from({ length: 100 }, (_, at) => step(`SELECT ${from + at}`));
    for (let from = 0; from < 600; from += 100) await proxy.transaction(texts(from));
    await failureOf(proxy.transaction([step("SELECT 1 / 0"), ...texts(600)]));
    const count = await valueOf(proxy, prepared);
    expect(count).toBeGreaterThan(200n);
    expect(count).toBeLessThanOrEqual(256n);
  });

  it("are bounded by what they weigh, too", async () => {
    const long = (length: number, at: number) => step(`SELECT '${"x".repeat(length)}', ${at}`);
    await proxy.transaction(Array.from({ length: 50 }, (_, at) => long(8_000, at)));
    await proxy.transaction([long(40_000, 0)]);
    const weight = await valueOf(proxy, "SELECT sum(length(statement)) FROM pg_prepared_statements");
    expect(Number(weight)).toBeGreaterThan(100_000);
    expect(Number(weight)).toBeLessThanOrEqual(256 * 1024);
    const longest = await valueOf(proxy, "SELECT max(length(statement)) FROM pg_prepared_statements");
    expect(longest).toBeLessThan(10_000n);
  });

  it("can be switched off: nothing is prepared, and a transaction takes no more round trips", async () => {
    await using pooled = await proxy.addReplica({ preparedStatements: false });
    const call = (): Promise<unknown> => pooled.client.transaction({ steps: [add(1), add(2), returning(1)] });
    await call();
    expect(await roundTrips(pooled.relay, call)).toBe(2);
    expect(await valueOf(pooled, prepared)).toBe(0n);
    const select = step("SELECT * FROM account WHERE id = 1");
    await pooled.client.transaction({ steps: [select] });
    await proxy.define("ALTER TABLE account ALTER COLUMN balance TYPE text");
    const { results } = await pooled.client.transaction({ steps: [select] });
    expect(results[0]?.rows[0]?.values[1]?.kind).toEqual(text("102"));
  });
});

describe("a migration under a running service is not seen by callers", () => {
  it("under load: columns that come, go and change their types", async () => {
    await using replica = await proxy.addReplica({ poolSize: 4 });
    const state = { running: true, calls: 0 };
    const steps = [
      step("UPDATE account SET balance = balance + 1 WHERE id = 1 RETURNING *"),
      step("SELECT * FROM account WHERE id = $1", int(2)),
      add(2, 1n),
    ];
    const send = async (): Promise<void> => {
      for (; state.running; state.calls += 1) await replica.client.transaction({ steps });
    };
    const senders = [send(), send(), send(), send(), send(), send()];
    const migrate = async (): Promise<void> => {
      for (let round = 0; round < 4; round += 1) {
        for (const change of [
          "ADD COLUMN extra numeric DEFAULT 1",
          "ALTER COLUMN balance TYPE bigint",
          "DROP COLUMN extra",
          "ALTER COLUMN balance TYPE int",
        ]) {
          const before = state.calls;
          await proxy.define(`SET lock_timeout = '5s'; ALTER TABLE account ${change}`);
          await expect.poll(() => state.calls).toBeGreaterThan(before + 10);
        }
      }
      state.running = false;
    };
    await Promise.all([migrate(), ...senders]).finally(() => (state.running = false));
    const [one, two] = await balances();
    expect(one).toBe(state.calls + 100);
    expect(two).toBe(state.calls + 100);
  });

  it("a parameter that takes more, or other values, than it did", async () => {
    const set = (value: StepInit) => proxy.transaction([value]);
    const balance = "UPDATE account SET balance = $1 WHERE id = 1";
    await set(step(balance, int(1)));
    await proxy.define("ALTER TABLE account ALTER COLUMN balance TYPE bigint");
    await set(step(balance, int(2n ** 40n)));
    expect((await balances())[0]).toBe(String(2n ** 40n));
    await proxy.define("ALTER TABLE account ALTER COLUMN balance TYPE text");
    await set(step(balance, text("much")));
    expect((await balances())[0]).toBe("much");
  });

  it.each([
    { from: "numeric", to: "int", value: "1.5" },
    { from: "interval", to: "time", value: "1 day 02:00" },
    { from: "amount", to: "int", value: "1.5" },
    { from: "inet", to: "cidr", value: "10.1.2.3/8" },
  ])(
    "a value for a column of $from that has become one of $to: nothing is lost of it unsaid",
    async ({ from, to, value }) => {
      await proxy.define(`CREATE DOMAIN amount AS numeric; ALTER TABLE account ADD COLUMN kept ${from}`);
      const kind = to === "int" ? ({ case: "numericValue", value } as const) : text(value);
      const set = step("UPDATE account SET kept = $1 WHERE id = 1", kind);
      await proxy.transaction([set]);
      await proxy.define(`ALTER TABLE account DROP COLUMN kept, ADD COLUMN kept ${to}`);
      const ended = await failureOf(proxy.transaction([set]));
      const [row] = await proxy.sql("SELECT kept::text FROM account WHERE id = 1");
      expect({ ended, row }).toMatchObject({
        ended: { outcome: "NOT_COMMITTED", step: 0 },
        row: { kept: null },
      });
    },
  );

  it("a statement of our own whose result has changed", async () => {
    await using replica = await proxy.addReplica({ settlePoolSize: 1 });
    const { requestId, meta } = identified();
    const ask = () => replica.client.getReceipt({ requestId });
    await proxy.client.transaction({ requestId, meta, steps: [add(1)] });
    expect(await ask()).toMatchObject({ state: ReceiptState.COMMITTED });
    await proxy.sql("ALTER TABLE tandem.receipts ALTER COLUMN state TYPE varchar(20)");
    expect(await ask()).toMatchObject({ state: ReceiptState.COMMITTED });
  });

  it("a type that is made anew under its old name", async () => {
    const make = `CREATE TYPE mood AS ENUM ('good', 'bad'); ALTER TABLE account ADD COLUMN mood mood`;
    await proxy.define(make);
    const set = step("UPDATE account SET mood = $1 WHERE id = 1 RETURNING mood", text("bad"));
    await proxy.transaction([set]);
    await proxy.define(`DROP TYPE mood CASCADE; ${make}`);
    const { results } = await proxy.transaction([set]);
    expect(results[0]?.columns).toMatchObject([{ name: "mood", type: "mood" }]);
    expect(results[0]?.rows[0]?.values[0]?.kind).toEqual(text("bad"));
  });
});
