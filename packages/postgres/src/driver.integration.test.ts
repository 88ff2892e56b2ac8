import { fileURLToPath } from "node:url";
import {
  createProcesses,
  createTcpRelay,
  createTestDatabase,
  type Processes,
  type TcpRelay,
  type TestDatabase,
} from "@tandem/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Report, ScenarioName } from "./testing/driver-scenarios.ts";
import type { SubjectName } from "./testing/driver-subjects.ts";

// What is expected of `postgres` is what is wrong with it: where such a test fails, upstream has mended something,
// and docs/decisions/0015 and what follows from it here can be looked at again.
const endsTheProcess = "ends the process";
type Expected = Report | typeof endsTheProcess;
const over = "The transaction is over, and so is its connection.";
const lost = { held: "DATABASE_UNAVAILABLE", waiting: "ok", statement: over, rows: [] };

const expected: Readonly<Record<ScenarioName, Readonly<Record<SubjectName, Expected>>>> = {
  "#1133 #1154 #1208 a backend that is terminated between two statements of a transaction": {
    postgres: endsTheProcess,
    database: { transaction: "DATABASE_UNAVAILABLE", statement: over, next: "ok" },
  },
  "#1155 a lost transaction goes on while a statement waits": {
    postgres: { held: "lost", waiting: "ok", statement: "ok", rows: [{ id: 2 }] },
    database: lost,
  },
  "#1155 a lost reservation goes on while a statement waits": {
    postgres: { held: "ok", waiting: "ok", statement: "ok", rows: [{ id: 2 }] },
    database: lost,
  },
  "#1216 a lost transaction goes on while another one runs": {
    postgres: { transaction: "lost", rows: [{ id: 1 }, { id: 2 }] },
    database: { transaction: "DATABASE_UNAVAILABLE", rows: [] },
  },
  "#1186 statements that wait in a transaction when its backend is terminated": {
    postgres: { transaction: "lost", statements: ["lost", "hung", "hung"] },
    database: { transaction: "DATABASE_UNAVAILABLE", statements: ["lost", over, over] },
  },
  "#1215 the statement after one whose backend was terminated": {
    postgres: { first: "lost", second: "57P01" },
    database: { first: "lost", second: "ok" },
  },
  "#1217 a transaction that PostgreSQL rolled back": {
    postgres: { transaction: "ok", rows: [] },
    database: { transaction: "DATABASE_INTERNAL", rows: [] },
  },
  "#1212 a COMMIT whose prepared statement is gone, as it is behind a pooler": {
    postgres: { transaction: "ok", rows: [] },
    database: { transaction: "ok", rows: [{ id: 1 }] },
  },
  "#1189 #1218 a BEGIN that fills the pipeline": {
    postgres: {
      transaction: "Cannot set properties of undefined (setting 'onclose')",
      insert: "ok",
      rows: [],
    },
    database: { transaction: "ok", insert: "ok", rows: [{ id: 1 }] },
  },
  "#751 #1219 a connection that is lent before any type is known": {
    postgres: { reserved: "hung" },
    database: { reserved: "ok" },
  },
  "#1119 #1181 the statement after one that failed behind its first rows": {
    postgres: { failed: "22012", rows: [null, null, { one: 1 }] },
    database: { failed: "22012", rows: [{ one: 1 }] },
  },
  "a text of two statements": { postgres: { text: "ok" }, database: { text: "42601" } },
  "a value that can't be sent, between two statements that can": {
    postgres: {
      ends: ["UNDEFINED_VALUE", "Cannot read properties of null (reading 'columns')", "hung"],
    },
    database: { ends: ["ok: one", "UNDEFINED_VALUE", "ok: three"] },
  },
  "a connection that is reset while the driver asks for types": {
    postgres: endsTheProcess,
    database: { statement: "lost", next: "ok" },
  },
};

const resetAtTypes: ScenarioName = "a connection that is reset while the driver asks for types";
const program = fileURLToPath(import.meta.resolve("./testing/driver-process.ts"));
let processes: Processes;

beforeAll(() => {
  processes = createProcesses();
});
afterAll(() => processes.end());

describe("the pool of postgres still has a fault:", () => {
  test.concurrent.each(Object.entries(expected))("%s", async (name, { postgres }) => {
    await using place = await createPlace();
    const { code, reports } = await play("postgres", [name], place);
    if (postgres === endsTheProcess) expect([code, reports]).toEqual([1, []]);
    else expect([code, reports]).toEqual([0, [{ name, report: postgres }]]);
  });
});

test("a Database on the same driver has none of them", async () => {
  await using place = await createPlace();
  const others = Object.keys(expected).filter((name) => name !== resetAtTypes);
  const names = [resetAtTypes, ...others];
  const { code, reports } = await play("database", names, place);
  const wanted = Object.entries(expected).map(([name, { database }]) => [name, database]);
  expect(Object.fromEntries(reports.map(({ name, report }) => [name, report]))).toEqual(
    Object.fromEntries(wanted),
  );
  expect(code).toBe(0);
});

interface Place extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly relay: TcpRelay;
}

async function createPlace(): Promise<Place> {
  const database = await createTestDatabase();
  const { hostname, port } = new URL(database.url);
  const relay = await createTcpRelay({ target: { host: hostname, port: Number(port) } });
  return {
    database,
    relay,
    [Symbol.asyncDispose]: async () => {
      await relay.close();
      await database.drop();
    },
  };
}

/** The scenarios one after the other, in a process of their own. */
async function play(
  subject: SubjectName,
  names: readonly string[],
  { database, relay }: Place,
): Promise<{ readonly code: number | null; readonly reports: readonly { name: string; report: Report }[] }> {
  // The first connection is made for the first scenario.
  if (names[0] === resetAtTypes) {
    relay.when({ direction: "toServer", contains: "typarray" }, (connection) => connection.cut());
  }
  const relayed = new URL(database.url);
  relayed.port = String(relay.port);
  const played = await processes.spawn({ args: [program, subject, relayed.href, database.url, ...names] });
  const { code } = await played.waitForExit({ timeoutMs: 18_000 });
  const reports = played.lines("stdout").map((line) => JSON.parse(line) as { name: string; report: Report });
  return { code, reports };
}
