import {
  createTcpRelay,
  createTestDatabase,
  expectNoBackends,
  runSql,
  type TestDatabase,
} from "@tandem/testkit";
import { sql } from "drizzle-orm";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createDatabase, type Database, type DatabaseOptions } from "./create-database.ts";
import { translateDatabaseError } from "./translate-database-error.ts";

let testDatabase: TestDatabase;
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  testDatabase = await createTestDatabase();
});
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
  await expectNoBackends(testDatabase.url);
});
afterAll(() => testDatabase.drop());

function open(options: Partial<DatabaseOptions> = {}): Database {
  const opened = createDatabase({ url: testDatabase.url, applicationName: "test", poolSize: 1, ...options });
  closing.push(() => opened.close({ timeoutMs: 0 }));
  return opened;
}

async function pidOf(database: Database): Promise<unknown> {
  const [row] = await database.sql`SELECT pg_backend_pid() AS pid`;
  return row?.["pid"];
}

/** Takes the only connection, until it is given back. */
async function occupy(database: Database): Promise<() => Promise<void>> {
  const held = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const transaction = database.transaction(async () => {
    held.resolve();
    await released.promise;
  });
  await held.promise;
  return () => {
    released.resolve();
    return transaction;
  };
}

describe("a pool whose connections are all in use", () => {
  const overloaded = { reason: "OVERLOADED", outcome: "NOT_COMMITTED", retryable: true };

  test("lets a bounded number wait, serves them in order, and refuses the rest at once", async () => {
    const database = open({ maxWaiting: 2 });
    const release = await occupy(database);
    const order: number[] = [];
    const waiting = [1, 2].map(async (number) => {
      await database.sql`SELECT ${number}::int`;
      order.push(number);
    });
    const started = performance.now();
    await expect(database.sql`SELECT 3`).rejects.toMatchObject(overloaded);
    await expect(database.transaction(() => Promise.resolve())).rejects.toMatchObject(overloaded);
    expect(performance.now() - started).toBeLessThan(100);
    await release();
    await Promise.all(waiting);
    expect(order).toEqual([1, 2]);
  });

  test("refuses what has waited for too long, and that alone", async () => {
    const database = open({ waitTimeoutMs: 50 });
    const release = await occupy(database);
    await expect(database.sql`SELECT 1`).rejects.toMatchObject(overloaded);
    await release();
    expect(await database.sql`SELECT 1 AS one`).toMatchObject([{ one: 1 }]);
  });

  test("refuses what waits when it is closed, and rolls back what doesn't end in time", async () => {
    const database = open();
    const release = await occupy(database);
    const waiting = database.sql`SELECT 1`.catch(translateDatabaseError);
    await database.close({ timeoutMs: 50 });
    expect(await waiting).toMatchObject({ reason: "DATABASE_UNAVAILABLE", outcome: "NOT_COMMITTED" });
    await expect(release()).rejects.toMatchObject({ outcome: "NOT_COMMITTED" });
  });
});

describe("a connection", () => {
  test("is used again, until it has lived long enough", async () => {
    const lasting = open();
    expect(await pidOf(lasting)).toBe(await pidOf(lasting));
    const brief = open({ connectionLifetimeMs: 0 });
    expect(await pidOf(brief)).not.toBe(await pidOf(brief));
  });

  test("takes one statement at a time, also from drizzle", async () => {
    const failed = open().drizzle.execute(sql.raw("SELECT 1; SELECT 2")).execute();
    await expect(failed).rejects.toMatchObject({ cause: expect.objectContaining({ code: "42601" }) });
  });

  test("is not lent again when it was lost in between: nobody's statement fails for that", async () => {
    const database = open();
    const pid = await pidOf(database);
    await runSql(testDatabase.url, `SELECT pg_terminate_backend(${Number(pid)}, 5000)`);
    // The news of its end comes before this does.
    await runSql(testDatabase.url, "SELECT 1");
    expect(await pidOf(database)).not.toBe(pid);
  });

  test("is given up after a statement that could not be sent as it should", async () => {
    const database = open();
    const pid = await pidOf(database);
    await expect(database.run({ text: "SELECT $1::text", values: [undefined] })).rejects.toThrow("UNDEFINED");
    expect(await pidOf(database)).not.toBe(pid);
  });

  test("is given up when its link goes silent or breaks in a statement, of which nobody knows the outcome", async () => {
    const { hostname, port } = new URL(testDatabase.url);
    const relay = await createTcpRelay({ target: { host: hostname, port: Number(port) } });
    closing.push(() => relay.close());
    const url = new URL(testDatabase.url);
    url.port = String(relay.port);
    const database = open({ url: url.href, statementTimeoutMs: 100, answerMarginMs: 100 });
    const during = { during: "commit" } as const;
    const unknown = { reason: "COMMIT_OUTCOME_UNKNOWN", outcome: "UNKNOWN" };
    for (const hit of [() => relay.stall(), () => relay.cut()]) {
      relay.when({ direction: "toServer", contains: "'hit'" }, hit);
      const error = await database.sql`SELECT 'hit'`.catch((thrown: unknown) =>
        translateDatabaseError(thrown, during),
      );
      expect(error).toMatchObject(unknown);
      relay.resume();
      expect(await database.sql`SELECT 1 AS one`).toMatchObject([{ one: 1 }]);
    }
  });
});
