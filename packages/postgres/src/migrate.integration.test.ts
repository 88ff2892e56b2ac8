import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  createProcesses,
  createTcpRelay,
  createTestDatabase,
  expectNoBackends,
  expectNoOpenTransactions,
  type TcpRelay,
  type TestDatabase,
  waitFor,
} from "@tandem/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { bootstrapDatabase } from "./bootstrap.ts";
import { migrate, type MigrateOptions, type MigrationProgress } from "./migrate.ts";
import { quoteIdentifier } from "./quote.ts";
import { withSession } from "./session.ts";
import { createMigrationsFolder, type MigrationsFolder } from "./testing/migrations-folder.ts";

const first = "CREATE TABLE one (id int PRIMARY KEY);\n--> statement-breakpoint\nINSERT INTO one VALUES (1);";
const second = "CREATE TABLE two (id int PRIMARY KEY);";
const owner = { name: "migrate_test_owner", password: "owner" };
const app = { name: "migrate_test_app", password: "app" };
const processes = createProcesses();

let database: TestDatabase;
let folder: MigrationsFolder;
let relay: TcpRelay;

async function asAdmin(
  statement: string,
  url = database.url,
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  return withSession(
    { url, applicationName: "admin" },
    async (session) => (await session.run(statement)).rows,
  );
}

beforeAll(async () => {
  const anchor = await createTestDatabase();
  for (const { name, password } of [owner, app]) {
    await asAdmin(`CREATE ROLE ${quoteIdentifier(name)} LOGIN PASSWORD '${password}'`, anchor.url);
  }
  await anchor.drop();
});

beforeEach(async () => {
  database = await createTestDatabase();
  const plan = { name: database.name, roles: { owner: owner.name, app: app.name } };
  await bootstrapDatabase({ adminUrl: database.adminUrl, database: plan });
  folder = await createMigrationsFolder();
  await folder.write({ "0000_one": first, "0001_two": second });
  const { hostname, port } = new URL(database.url);
  relay = await createTcpRelay({ target: { host: hostname, port: Number(port) } });
});

afterEach(async () => {
  await processes.end();
  await relay.close();
  await expectNoBackends(database.url, { timeoutMs: 5_000 });
  await database.drop();
  await folder.remove();
});

afterAll(async () => {
  const anchor = await createTestDatabase();
  for (const { name } of [owner, app]) await asAdmin(`DROP ROLE ${quoteIdentifier(name)}`, anchor.url);
  await anchor.drop();
});

function run(options: Partial<MigrateOptions> = {}): ReturnType<typeof migrate> {
  return migrate({ url: database.urlFor(owner), folders: [folder.path], ...options });
}

async function tables(): Promise<readonly unknown[]> {
  const rows = await asAdmin("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1");
  return rows.map(({ tablename }) => tablename);
}

async function history(): Promise<readonly unknown[]> {
  return (await asAdmin("SELECT name FROM tandem.migrations ORDER BY 1")).map(({ name }) => name);
}

function throughRelay(): string {
  const url = new URL(database.urlFor(owner));
  url.port = String(relay.port);
  return url.href;
}

describe("migrate", () => {
  test("applies what is missing, in order, as the owner, and nothing the second time", async () => {
    const events: MigrationProgress[] = [];
    const result = await run({ onProgress: (event) => events.push(event) });
    expect(result).toEqual({ applied: ["0000_one", "0001_two"], unknown: [], version: "0001_two" });
    expect(events.map((event) => "name" in event && event.name)).toEqual(["0000_one", "0001_two"]);
    expect(await run()).toEqual({ applied: [], unknown: [], version: "0001_two" });
    const owned = await asAdmin(
      "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('public', 'tandem')",
    );
    expect(owned).toEqual([{ tableowner: owner.name }]);
  });

  test("applies only the new ones after an update", async () => {
    await folder.write({ "0000_one": first });
    await run();
    await folder.write({ "0000_one": first, "0001_two": second });
    expect((await run()).applied).toEqual(["0001_two"]);
  });

  test("applies each once, however many replicas start at once", async () => {
    const results = await Promise.all(Array.from({ length: 8 }, () => run()));
    expect(results.map(({ applied }) => applied.length).toSorted()).toEqual([0, 0, 0, 0, 0, 0, 0, 2]);
    expect(await asAdmin("SELECT * FROM one")).toEqual([{ id: 1 }]);
  });

  test("runs with a newer release's database, and reports that", async () => {
    await run();
    await folder.write({ "0000_one": first });
    const events: MigrationProgress[] = [];
    const result = await run({ onProgress: (event) => events.push(event) });
    expect(result).toEqual({ applied: [], unknown: ["0001_two"], version: "0000_one" });
    expect(events).toEqual([{ kind: "newer", names: ["0001_two"] }]);
  });

  test("refuses a migration that has changed since it was applied", async () => {
    await run();
    await folder.write({
      "0000_one": `${first} -- changed`,
      "0001_two": second,
      "0002_three": "CREATE TABLE three ()",
    });
    await expect(run()).rejects.toMatchObject({
      failure: "CHANGED",
      message: expect.stringContaining("0000_one"),
    });
    expect(await tables()).toEqual(["one", "two"]);
  });

  test("leaves nothing of any of them when one fails, and goes on when it is mended", async () => {
    await folder.write({ "0000_one": first, "0001_two": `${second}\n--> statement-breakpoint\nSELECT 1/0;` });
    await expect(run()).rejects.toMatchObject({
      failure: "STATEMENT_FAILED",
      message: "Migration 0001_two failed: division by zero. Nothing was applied.",
    });
    expect(await tables()).toEqual([]);
    await folder.write({ "0000_one": first, "0001_two": second });
    expect((await run()).applied).toHaveLength(2);
  });

  test.each(["COMMIT", "-- first\n /* x */ rollback;", "BEGIN;"])(
    "refuses a migration with the statement %j",
    async (statement) => {
      await folder.write({ "0000_one": `${first}\n--> statement-breakpoint\n${statement}` });
      await expect(run()).rejects.toMatchObject({ failure: "UNREADABLE" });
      expect(await tables()).toEqual([]);
    },
  );

  test("refuses several statements that no breakpoint divides, because a COMMIT could be among them", async () => {
    await folder.write({ "0000_one": "CREATE TABLE one (); COMMIT; CREATE TABLE two ()" });
    await expect(run()).rejects.toMatchObject({ failure: "STATEMENT_FAILED" });
    expect(await tables()).toEqual([]);
  });

  test("says so when a file is missing, or the folder", async () => {
    await rm(join(folder.path, "0001_two.sql"));
    await expect(run()).rejects.toMatchObject({
      failure: "UNREADABLE",
      message: expect.stringContaining("0001_two"),
    });
    await expect(run({ folders: ["/nowhere"] })).rejects.toMatchObject({ failure: "UNREADABLE" });
  });

  test("says so when the server was not prepared", async () => {
    await asAdmin("DROP SCHEMA tandem CASCADE");
    await expect(run()).rejects.toMatchObject({ failure: "NOT_PREPARED" });
  });

  test("does not work for a role that only reads and writes rows", async () => {
    await expect(run({ url: database.urlFor(app) })).rejects.toMatchObject({ failure: "NOT_PREPARED" });
  });
});

describe("migrate, when it can't go on,", () => {
  test("waits no longer than it may for another process, and for readers and writers", async () => {
    await run();
    await folder.write({
      "0000_one": first,
      "0001_two": second,
      "0002_wider": "ALTER TABLE one ADD more int",
    });
    await withSession({ url: database.url, applicationName: "test" }, async (session) => {
      await session.run("BEGIN");
      await session.run("LOCK TABLE one IN ACCESS SHARE MODE");
      await expect(run({ lockTimeoutMs: 50 })).rejects.toMatchObject({ failure: "LOCKED", passing: true });
      await session.run("LOCK TABLE tandem.migrations IN EXCLUSIVE MODE");
      await expect(run({ turnTimeoutMs: 50 })).rejects.toMatchObject({ failure: "LOCKED", passing: true });
    });
    expect((await run()).applied).toEqual(["0002_wider"]);
  });

  test("stops when it is called off, and leaves nothing", async () => {
    await folder.write({
      "0000_one": first,
      "0001_two": `${second}\n--> statement-breakpoint\nSELECT pg_sleep(30)`,
    });
    const controller = new AbortController();
    const running = run({ signal: controller.signal });
    const failed = expect(running).rejects.toThrow("called off");
    await sleeping();
    controller.abort(new Error("called off"));
    await failed;
    await expectNoOpenTransactions(database.url, { timeoutMs: 5_000 });
    expect(await tables()).toEqual([]);
  });

  test("killed in the middle leaves nothing, and the next start does it all, soon", async () => {
    await folder.write({
      "0000_one": first,
      "0001_two": `${second}\n--> statement-breakpoint\nSELECT pg_sleep(30)`,
    });
    const file = fileURLToPath(new URL("testing/migrate-process.ts", import.meta.url));
    const replica = await processes.spawn({ args: [file, database.urlFor(owner), folder.path] });
    await replica.waitForLine("0001_two", { timeoutMs: 10_000 });
    await sleeping();
    replica.kill("SIGKILL");
    await replica.waitForExit();
    await folder.write({ "0000_one": first, "0001_two": second });
    const started = performance.now();
    expect((await run()).applied).toEqual(["0000_one", "0001_two"]);
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test("loses its connection in a statement: nothing is applied, and it says so", async () => {
    relay.when({ direction: "toServer", contains: "INSERT INTO one" }, (connection) => connection.cut());
    await expect(run({ url: throughRelay() })).rejects.toMatchObject({
      failure: "CONNECTION_LOST",
      passing: true,
      message: expect.stringContaining("Nothing was applied"),
    });
    expect(await tables()).toEqual([]);
    expect((await run()).applied).toHaveLength(2);
  });

  test.each(["toServer", "toClient"] as const)(
    "loses its connection at COMMIT (%s): the next start finds out",
    async (direction) => {
      relay.when({ direction, contains: "COMMIT" }, (connection) => connection.cut());
      await expect(run({ url: throughRelay() })).rejects.toMatchObject({
        failure: "OUTCOME_UNKNOWN",
        passing: true,
      });
      const done = direction === "toClient";
      expect(await history()).toEqual(done ? ["0000_one", "0001_two"] : []);
      expect((await run()).applied).toHaveLength(done ? 0 : 2);
    },
  );
});

async function sleeping(): Promise<void> {
  await waitFor(
    async () => (await asAdmin("SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'")).length > 0,
    {
      describe: "the migration to sleep",
      timeoutMs: 10_000,
    },
  );
}
