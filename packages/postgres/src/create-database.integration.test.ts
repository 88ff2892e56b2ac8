import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import {
  createTcpRelay,
  createTestDatabase,
  expectNoBackends,
  type TestDatabase,
  waitFor,
} from "@tandem/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ConnectError } from "./connect-error.ts";
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

function open(url = testDatabase.url, options: Partial<DatabaseOptions> = {}): Database {
  const database = createDatabase({ applicationName: "test", ...options, url });
  closing.push(() => database.close());
  return database;
}

function urlWith(change: (url: URL) => void): string {
  const url = new URL(testDatabase.url);
  change(url);
  return url.href;
}

describe("a database", () => {
  test("answers a ping with the server's version, again and again", async () => {
    const database = open();
    for (let i = 0; i < 3; i++) {
      expect(await database.ping()).toEqual({
        version: expect.stringMatching(/^1[78]\.\d+$/),
        standby: false,
      });
    }
  });

  test("gives values back as they were sent, without loss", async () => {
    const { sql } = open();
    const instant = "2026-01-02 03:04:05.678901+00";
    const [row] = await sql`
      SELECT ${9_007_199_254_740_993n}::int8 AS big, ${instant}::timestamptz AS instant,
             ${new Date(1)}::timestamptz AS date, 'infinity'::timestamptz AS never,
             ${[9_007_199_254_740_993n, 2n]}::int8[] AS list, ${[[true], [false]]}::bool[] AS nested,
             ${['a"b', "c\\d,{}", ""]}::text[] AS texts, ${[null, "null"]}::text[] AS nulls,
             ARRAY['x'::"char"] AS chars, ${'{"a":[1]}'}::jsonb AS json, '0044-03-15 BC'::date AS ides`;
    expect(row).toEqual({
      big: 9_007_199_254_740_993n,
      instant,
      date: "1970-01-01 00:00:00.001+00",
      never: "infinity",
      list: [9_007_199_254_740_993n, 2n],
      nested: [[true], [false]],
      texts: ['a"b', "c\\d,{}", ""],
      nulls: [null, "null"],
      chars: ["x"],
      json: { a: [1] },
      ides: "0044-03-15 BC",
    });
  });

  test("bounds what its statements may take, and finds tables in public alone", async () => {
    const { sql } = open(testDatabase.url, { statementTimeoutMs: 50, preparedStatements: false });
    const settings = await sql<{ name: string; setting: string }>`
      SELECT name, setting FROM pg_settings WHERE name IN
        ('lock_timeout', 'idle_in_transaction_session_timeout', 'search_path', 'application_name')`;
    expect(Object.fromEntries(settings.map(({ name, setting }) => [name, setting]))).toEqual({
      lock_timeout: "2000",
      idle_in_transaction_session_timeout: "10000",
      search_path: "public, pg_temp",
      application_name: "test",
    });
    const failed = await sql`SELECT pg_sleep(5)`.catch(translateDatabaseError);
    expect(failed).toMatchObject({ reason: "STATEMENT_TIMEOUT" });
  });

  test("works again after all of its connections were terminated", async () => {
    const database = open(testDatabase.url, { poolSize: 3 });
    const pids = await Promise.all(
      [1, 2, 3].map(() => database.sql`SELECT pg_backend_pid() AS pid, pg_sleep(0.05)`),
    );
    const admin = open(testDatabase.adminUrl);
    for (const [row] of pids) await admin.sql`SELECT pg_terminate_backend(${Number(row?.["pid"])}, 2000)`;
    await waitFor(() => database.ping(), { describe: "a ping to succeed" });
    expect(await database.sql`SELECT 1 AS one`).toMatchObject([{ one: 1 }]);
  });

  test("comes up by itself when its server does, however often it was asked before", async () => {
    const relay = await createTcpRelay({ target: addressOf(testDatabase.url) });
    closing.push(() => relay.close());
    relay.refuse();
    const database = open(
      urlWith((url) => (url.port = String(relay.port))),
      { poolSize: 2 },
    );
    for (let i = 0; i < 5; i++) await expect(database.ping()).rejects.toMatchObject({ failure: "REFUSED" });
    await relay.accept();
    expect(await database.ping()).toMatchObject({ standby: false });
  });

  test("tells a caller that waits too long, and one that called off, so", async () => {
    const database = open(testDatabase.url, { poolSize: 1 });
    const admin = open(testDatabase.adminUrl);
    const busy = database.sql`SELECT pg_sleep(0.5)`;
    await waitFor(
      async () => (await admin.sql`SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'`).length > 0,
      { describe: "the only connection to be busy" },
    );
    await expect(database.ping({ timeoutMs: 20 })).rejects.toMatchObject({ failure: "TIMED_OUT" });
    const reason = new Error("called off");
    await expect(database.ping({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await busy;
  });

  test("closes within its bound although a statement runs, and refuses what comes later", async () => {
    const database = open();
    const running = database.sql`SELECT pg_sleep(5)`.catch(translateDatabaseError);
    await database.ping();
    const started = performance.now();
    await database.close({ timeoutMs: 50 });
    expect(performance.now() - started).toBeLessThan(1_000);
    expect(await running).toMatchObject({ reason: "DATABASE_UNAVAILABLE" });
    expect(await database.sql`SELECT 1`.catch(translateDatabaseError)).toMatchObject({
      reason: "DATABASE_UNAVAILABLE",
    });
    const admin = open(testDatabase.adminUrl);
    await admin.sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ${testDatabase.name}`;
  });

  test("makes no connection any more for a statement that waited when it was closed", async () => {
    const admin = open(testDatabase.adminUrl);
    const database = open(testDatabase.url, { poolSize: 1 });
    const busy = database.sql`SELECT pg_sleep(0.3)`;
    await waitFor(
      async () => (await admin.sql`SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'`).length > 0,
      { describe: "the only connection to be busy" },
    );
    const waiting = [1, 2].map(() => database.sql`SELECT 1`.catch(translateDatabaseError));
    await busy;
    await database.close();
    await Promise.all(waiting);
    await expectNoBackends(testDatabase.url);
  });
});

describe("a ping that fails says why in a sentence", () => {
  const cases: readonly [string, (url: URL) => void, Partial<ConnectError>][] = [
    ["wrong password", (url) => (url.password = "x"), { failure: "WRONG_PASSWORD", passing: false }],
    ["no such database", (url) => (url.pathname = "/none"), { failure: "NO_SUCH_DATABASE", passing: false }],
    ["nothing there", (url) => (url.port = "1"), { failure: "REFUSED", passing: true }],
    ["no such host", (url) => (url.hostname = "no.invalid"), { failure: "HOST_NOT_FOUND", passing: true }],
    [
      "no TLS there",
      (url) => (url.search = "?sslmode=require"),
      { failure: "TLS_NOT_OFFERED", passing: false },
    ],
  ];

  test.each(cases)("%s", async (_name, change, expected) => {
    const database = open(urlWith(change), { poolSize: 2 });
    // More often than the pool has connections: none of them gets lost.
    for (let i = 0; i < 4; i++) {
      const error = await database.ping().catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ConnectError);
      expect(error).toMatchObject(expected);
      expect(error).toMatchObject({ message: expect.stringMatching(/^[A-Z].*[.?]$/) });
    }
  });

  const strangers: readonly [string, (socket: Socket) => void, ConnectError["failure"]][] = [
    [
      "speaks HTTP",
      (socket) => socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")),
      "NOT_POSTGRESQL",
    ],
    ["hangs up at once", (socket) => socket.end(), "CLOSED"],
    ["resets the connection", (socket) => socket.once("data", () => socket.resetAndDestroy()), "CLOSED"],
    ["says nothing", (socket) => socket.resume(), "TIMED_OUT"],
  ];

  test.each(strangers)("something else that %s, with and without TLS", async (_name, behave, failure) => {
    const server = await listen(behave);
    const { port } = server.address() as AddressInfo;
    for (const search of ["", "?sslmode=require", "?sslmode=verify-full"]) {
      const url = urlWith((changed) => Object.assign(changed, { port: String(port), search }));
      const database = open(url, { poolSize: 1, connectTimeoutMs: 100 });
      for (let i = 0; i < 2; i++) await expect(database.ping()).rejects.toMatchObject({ failure });
    }
  });

  test("a server that offers TLS and then can't do it", async () => {
    const server = await listen((socket) => {
      socket.once("data", () => {
        socket.write("S");
        socket.once("data", () => socket.end("not TLS"));
      });
    });
    const { port } = server.address() as AddressInfo;
    const url = urlWith((changed) =>
      Object.assign(changed, { port: String(port), search: "?sslmode=require" }),
    );
    const error = await open(url)
      .ping()
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ failure: "TLS_FAILED", message: expect.stringContaining("certificate") });
  });
});

async function listen(behave: (socket: Socket) => void): Promise<Server> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    behave(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return server;
}

function addressOf(url: string): { host: string; port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
}
