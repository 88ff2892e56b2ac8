import { HandlerError } from "@tandem/rpc";
import {
  createTcpRelay,
  createTestDatabase,
  expectNoBackends,
  expectNoOpenTransactions,
  runSql,
  type TcpRelay,
  type TestDatabase,
  waitFor,
} from "@tandem/testkit";
import { eq } from "drizzle-orm";
import { integer, pgTable } from "drizzle-orm/pg-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createDatabase, type Database, type DatabaseOptions } from "./create-database.ts";
import type { Transaction } from "./transaction.ts";

const entries = pgTable("entries", { id: integer().primaryKey(), owner: integer() });

let testDatabase: TestDatabase;
let database: Database;
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  await runSql(testDatabase.url, "CREATE TABLE owners (id int PRIMARY KEY)");
  await runSql(
    testDatabase.url,
    "CREATE TABLE entries (id int PRIMARY KEY, owner int REFERENCES owners DEFERRABLE INITIALLY DEFERRED)",
  );
});
beforeEach(async () => {
  await runSql(testDatabase.url, "TRUNCATE entries");
  database = open();
});
afterEach(async () => {
  await expectNoOpenTransactions(testDatabase.url);
  for (const close of closing.splice(0).toReversed()) await close();
  await expectNoBackends(testDatabase.url);
});
afterAll(() => testDatabase.drop());

function open(options: Partial<DatabaseOptions> = {}): Database {
  const opened = createDatabase({ url: testDatabase.url, applicationName: "test", poolSize: 1, ...options });
  closing.push(() => opened.close({ timeoutMs: 0 }));
  return opened;
}

async function idsThere(): Promise<readonly unknown[]> {
  const rows = await runSql(testDatabase.url, "SELECT id FROM entries ORDER BY id");
  return rows.map(({ id }) => id);
}

async function failureOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => new Error("It did not fail."),
    (error: unknown) => error,
  );
}

async function insert({ sql }: Pick<Transaction, "sql">, id: number): Promise<void> {
  await sql`INSERT INTO entries (id) VALUES (${id})`;
}

describe("a transaction", () => {
  test("commits what its body did in SQL, through drizzle and by text, and gives what the body gives", async () => {
    const result = await database.transaction(async (tx) => {
      await insert(tx, 1);
      await tx.drizzle.insert(entries).values({ id: 2 });
      await tx.run({ text: "INSERT INTO entries (id) VALUES ($1)", values: [3] });
      const found = await tx.drizzle.select().from(entries).where(eq(entries.id, 1));
      expect(found).toEqual([{ id: 1, owner: null }]);
      return "done";
    });
    expect(result).toBe("done");
    expect(await idsThere()).toEqual([1, 2, 3]);
  });

  test("rolls back and throws on what its body throws of its own", async () => {
    const own = new RangeError("of the body");
    const decided = new HandlerError({ reason: "GUARD_UNMET", message: "no" });
    for (const thrown of [own, decided]) {
      const failing = database.transaction(async (tx) => {
        await insert(tx, 1);
        throw thrown;
      });
      expect(await failureOf(failing)).toBe(thrown);
    }
    expect(await idsThere()).toEqual([]);
    // On the same connection: a body that fails costs none.
    await database.transaction((tx) => insert(tx, 2));
    expect(await idsThere()).toEqual([2]);
  });

  test("says of the statement that failed which it was, also through drizzle", async () => {
    await insert(database, 1);
    const unique = { reason: "UNIQUE_VIOLATION", outcome: "NOT_COMMITTED", database: { table: "entries" } };
    const bySql = database.transaction((tx) => insert(tx, 1));
    expect(await failureOf(bySql)).toMatchObject(unique);
    const byDrizzle = database.transaction(async (tx) => tx.drizzle.insert(entries).values({ id: 1 }));
    expect(await failureOf(byDrizzle)).toMatchObject(unique);
  });

  test("fails although its body swallowed the failure of a statement", async () => {
    const swallowing = database.transaction(async (tx) => {
      await insert(tx, 1);
      await tx.sql`SELECT 1 / 0`.catch(() => undefined);
    });
    expect(await failureOf(swallowing)).toMatchObject({
      reason: "DATA_EXCEPTION",
      outcome: "NOT_COMMITTED",
    });
    expect(await idsThere()).toEqual([]);
  });

  test("fails, rolled back, when a constraint is checked at COMMIT", async () => {
    const failing = database.transaction(async (tx) => {
      await tx.sql`INSERT INTO entries (id, owner) VALUES (1, 7)`;
    });
    expect(await failureOf(failing)).toMatchObject({
      reason: "FOREIGN_KEY_VIOLATION",
      outcome: "NOT_COMMITTED",
    });
    expect(await idsThere()).toEqual([]);
  });

  test("gives way to another in isolation, so that its caller can run it again", async () => {
    const other = open();
    await insert(other, 1);
    const overtaken = database.transaction(
      async (tx) => {
        await tx.sql`SELECT FROM entries`;
        await other.sql`UPDATE entries SET owner = NULL`;
        await tx.sql`UPDATE entries SET owner = NULL`;
      },
      { isolation: "REPEATABLE READ" },
    );
    expect(await failureOf(overtaken)).toMatchObject({ reason: "SERIALIZATION_FAILURE", retryable: true });
  });
});

describe("a transaction's handle", () => {
  test("is dead when the body has ended", async () => {
    const kept = await database.transaction((tx) => Promise.resolve(tx));
    const over = /transaction is over/;
    await expect(kept.sql`SELECT 1`).rejects.toThrow(over);
    await expect(kept.drizzle.select().from(entries)).rejects.toMatchObject({
      cause: expect.objectContaining({ message: expect.stringMatching(over) }),
    });
  });

  test("commits nothing where the body did not wait for its statements", async () => {
    const started = performance.now();
    const hasty = database.transaction(async (tx) => {
      await insert(tx, 1);
      void tx.sql`SELECT pg_sleep(3)`.catch(() => undefined);
    });
    expect(await failureOf(hasty)).toBeInstanceOf(TypeError);
    // Nor does anybody else wait for them.
    await insert(database, 2);
    expect(performance.now() - started).toBeLessThan(2_000);
    expect(await idsThere()).toEqual([2]);
  });

  test.each(["COMMIT", "ROLLBACK", "COMMIT AND CHAIN", "START TRANSACTION"])(
    "takes no %s, and nothing is run after it",
    async (statement) => {
      const meddling = database.transaction(async (tx) => {
        await tx.run({ text: statement }).catch(() => undefined);
        await insert(tx, 1).catch(() => undefined);
      });
      expect(await failureOf(meddling)).toBeInstanceOf(TypeError);
      expect(await idsThere()).toEqual([]);
    },
  );

  test("runs statements that are begun at once one after the other", async () => {
    const ids = [1, 2, 3, 4, 5];
    await database.transaction(async (tx) => {
      const rows = await Promise.all(ids.map((id) => tx.sql`SELECT ${id}::int AS id`));
      expect(rows.flat()).toEqual(ids.map((id) => ({ id })));
    });
    const failing = database.transaction((tx) =>
      Promise.all([insert(tx, 1), tx.sql`SELECT 1 / 0`, insert(tx, 2)]),
    );
    expect(await failureOf(failing)).toMatchObject({ reason: "DATA_EXCEPTION" });
    expect(await idsThere()).toEqual([]);
  });
});

test("a statement on its own can't begin a transaction: nobody after it would be in one unawares", async () => {
  await expect(database.run({ text: "BEGIN" })).rejects.toThrow(TypeError);
  await insert(database, 1);
  expect(await idsThere()).toEqual([1]);
});

describe("a transaction is bounded", () => {
  const timedOut = { reason: "TRANSACTION_TIMEOUT", outcome: "NOT_COMMITTED" };

  test.each([
    ["in a statement", async (tx: Transaction) => void (await tx.sql`SELECT pg_sleep(5)`)],
    ["between two", () => new Promise<void>(() => undefined)],
  ])("by its own timeout, which no setting of the session exceeds: %s", async (_where, dawdle) => {
    const slow = database.transaction(
      async (tx) => {
        await insert(tx, 1);
        await dawdle(tx);
      },
      { timeoutMs: 100 },
    );
    expect(await failureOf(slow)).toMatchObject(timedOut);
    expect(await idsThere()).toEqual([]);
  });

  test("by its own timeout, where the database's is shorter", async () => {
    await runSql(testDatabase.url, `ALTER DATABASE ${testDatabase.name} SET transaction_timeout = '100ms'`);
    try {
      await database.transaction(async (tx) => void (await tx.sql`SELECT pg_sleep(0.3)`));
    } finally {
      await runSql(testDatabase.url, `ALTER DATABASE ${testDatabase.name} RESET transaction_timeout`);
    }
  });

  test("by the statement's timeout, on a connection that lives on", async () => {
    const slow = open({ statementTimeoutMs: 50 });
    const failing = slow.transaction(async (tx) => void (await tx.sql`SELECT pg_sleep(5)`));
    expect(await failureOf(failing)).toMatchObject({ reason: "STATEMENT_TIMEOUT", outcome: "NOT_COMMITTED" });
    expect(await slow.sql`SELECT 1 AS one`).toMatchObject([{ one: 1 }]);
  });

  test("by its caller's signal, at once, also while it waits for a connection", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const busy = Promise.withResolvers<void>();
    const running = database.transaction(
      async (tx) => {
        await insert(tx, 1);
        busy.resolve();
        await tx.sql`SELECT pg_sleep(5)`;
      },
      { signal },
    );
    const failed = Promise.all([failureOf(running), failureOf(waitingFor(signal))]);
    await busy.promise;
    const started = performance.now();
    controller.abort();
    const left = { reason: "CANCELLED_BY_CALLER", outcome: "NOT_COMMITTED" };
    expect(await failed).toMatchObject([left, left]);
    expect(performance.now() - started).toBeLessThan(1_000);
    expect(await failureOf(waitingFor(signal))).toMatchObject(left);
    expect(await idsThere()).toEqual([]);
  });

  function waitingFor(signal: AbortSignal): Promise<void> {
    return database.transaction((tx) => insert(tx, 2), { signal });
  }
});

describe("a transaction that loses its connection", () => {
  let relay: TcpRelay;
  let relayed: Database;

  beforeEach(async () => {
    const { hostname, port } = new URL(testDatabase.url);
    relay = await createTcpRelay({ target: { host: hostname, port: Number(port) } });
    closing.push(() => relay.close());
    const url = new URL(testDatabase.url);
    url.port = String(relay.port);
    relayed = open({ url: url.href, answerMarginMs: 100, transactionTimeoutMs: 200 });
  });

  test("between two statements, or in one, is not committed, and the next one has a connection of its own", async () => {
    const lost = { reason: "DATABASE_UNAVAILABLE", outcome: "NOT_COMMITTED", retryable: true };
    const between = relayed.transaction(async (tx) => {
      await insert(tx, 1);
      relay.cut();
      await waitFor(() => relay.connections() === 0, { describe: "the link to be cut" });
      await insert(tx, 2);
    });
    expect(await failureOf(between)).toMatchObject(lost);
    const within = relayed.transaction(async (tx) => {
      await insert(tx, 3);
      relay.when({ direction: "toServer", contains: "'in flight'" }, (connection) => connection.cut());
      await tx.sql`SELECT 'in flight'`;
    });
    expect(await failureOf(within)).toMatchObject(lost);
    await relayed.transaction((tx) => insert(tx, 5));
    expect(await idsThere()).toEqual([5]);
  });

  test.each([
    { direction: "toServer", there: [] },
    { direction: "toClient", there: [1] },
  ] as const)("at COMMIT does not know whether it took effect ($direction)", async ({ direction, there }) => {
    await relayed.sql`SELECT 1`;
    relay.when({ direction, contains: "COMMIT\0" }, (connection) => connection.cut());
    const failed = await failureOf(relayed.transaction((tx) => insert(tx, 1)));
    expect(failed).toMatchObject({ reason: "COMMIT_OUTCOME_UNKNOWN", outcome: "UNKNOWN", retryable: true });
    await waitFor(async () => (await idsThere()).length === there.length, { describe: "what was committed" });
  });

  test("to silence gives up by itself: before COMMIT nothing is committed, in it nobody knows", async () => {
    await relayed.sql`SELECT 1`;
    const timedOut = { reason: "TRANSACTION_TIMEOUT", outcome: "NOT_COMMITTED" };
    const before = relayed.transaction(async (tx) => {
      await insert(tx, 1);
      relay.stall();
      await insert(tx, 2);
    });
    expect(await failureOf(before)).toMatchObject(timedOut);
    relay.resume();
    await relayed.sql`SELECT 1`;
    relay.when({ direction: "toServer", contains: "COMMIT\0" }, () => relay.stall());
    const during = relayed.transaction((tx) => insert(tx, 3));
    expect(await failureOf(during)).toMatchObject({ reason: "COMMIT_OUTCOME_UNKNOWN", outcome: "UNKNOWN" });
    relay.resume();
  });

  test("to silence gives up by itself although its body never asks for anything again", async () => {
    let stopped = 0;
    const idle = relayed.transaction(async (tx) => {
      const [row] = await tx.sql`SELECT pg_backend_pid() AS pid`;
      stopped = Number(row?.["pid"]);
      // So that PostgreSQL's own timeout doesn't end it.
      process.kill(stopped, "SIGSTOP");
      await new Promise(() => undefined);
    });
    const failed = await failureOf(idle);
    process.kill(stopped, "SIGCONT");
    expect(failed).toMatchObject({ reason: "TRANSACTION_TIMEOUT", outcome: "NOT_COMMITTED" });
  });
});
