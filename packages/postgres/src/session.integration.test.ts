import { createTestDatabase, expectNoBackends, type TestDatabase } from "@tandem/testkit";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { translateDatabaseError } from "./translate-database-error.ts";
import { withSession } from "./session.ts";

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterEach(() => expectNoBackends(database.url));
afterAll(() => database.drop());

test("fails for good when its connection is lost between two statements, instead of going on outside its transaction", async () => {
  const options = { url: database.url, applicationName: "test" };
  await withSession(options, async (session) => {
    await session.run("BEGIN");
    await session.run("CREATE TABLE lost (id int)");
    const { rows } = await session.run("SELECT pg_backend_pid() AS pid");
    await withSession(options, (admin) =>
      admin.run(`SELECT pg_terminate_backend(${Number(rows[0]?.["pid"])}, 2000)`),
    );
    for (let i = 0; i < 3; i++) {
      const error = await session.run("CREATE TABLE astray (id int)").catch(translateDatabaseError);
      expect(error).toMatchObject({ reason: "DATABASE_UNAVAILABLE" });
    }
  });
  const { rows } = await withSession(options, (session) =>
    session.run("SELECT FROM pg_tables WHERE schemaname = 'public'"),
  );
  expect(rows).toEqual([]);
});

test("runs one statement at a time: a text of two is refused and none of them is run", async () => {
  const options = { url: database.url, applicationName: "test" };
  await withSession(options, async (session) => {
    await expect(session.run("CREATE TABLE a (); CREATE TABLE b ()")).rejects.toMatchObject({
      code: "42601",
    });
    expect((await session.run("SELECT to_regclass('a') AS a")).rows).toEqual([{ a: null }]);
  });
});

test("ends with its body, also when that fails, and when it is called off", async () => {
  const controller = new AbortController();
  const options = { url: database.url, applicationName: "test", signal: controller.signal };
  await expect(withSession(options, () => Promise.reject(new Error("of the body")))).rejects.toThrow(
    "of the body",
  );
  const running = withSession(options, async (session) => {
    controller.abort(new Error("called off"));
    await session.run("SELECT pg_sleep(1)");
  });
  await expect(running).rejects.toMatchObject({ code: expect.stringMatching(/^CONNECTION_/) });
  await expect(withSession(options, () => Promise.resolve())).rejects.toThrow("called off");
});
