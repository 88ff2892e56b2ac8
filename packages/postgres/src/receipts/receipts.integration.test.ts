import { createLogger, HandlerError } from "@tandem/rpc";
import { expectNoOpenTransactions, runSql, type TestDatabase } from "@tandem/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createDatabase } from "../create-database.ts";
import {
  createReceiptsDatabase,
  createReceiptsRoles,
  type ReceiptsRoles,
} from "../testing/receipts-database.ts";
import { openTestConnection, type TestConnection } from "../testing/test-connections.ts";
import { keepReceipts } from "./keep-receipts.ts";
import { insertRefused, receiptFailure, type TextStatement } from "./receipt.ts";
import { createReceipts } from "./receipts.ts";

const HOUR_MS = 60 * 60_000;
let database: TestDatabase;
let opened: TestConnection[];
let roles: ReceiptsRoles;
beforeAll(async () => {
  roles = await createReceiptsRoles("receipts_test");
});
beforeEach(async () => {
  database = await createReceiptsDatabase(roles);
  opened = [];
});
afterEach(async () => {
  for (const connection of opened) await connection.close();
  await expectNoOpenTransactions(database.url);
  await database.drop();
});
afterAll(async () => {
  await runSql(database.adminUrl, `DROP ROLE ${roles.owner.name}, ${roles.app.name}`);
});

async function connect(): Promise<TestConnection> {
  const connection = await openTestConnection("postgres", database.urlFor(roles.app));
  opened.push(connection);
  return connection;
}

const keep = async (retention = "24 hours"): Promise<unknown> =>
  (await runSql(database.urlFor(roles.app), `SELECT tandem.keep_receipts('${retention}') AS due`))[0]?.[
    "due"
  ];
/** As the service does it: until nothing is due, or something is in use. */
const keepAll = async (retention: string): Promise<unknown> => {
  for (let before: unknown; ;) {
    const due = await keep(retention);
    if (due === 0 || due === before) return due;
    before = due;
  }
};
const partitions = async (): Promise<string[]> => {
  const rows = await runSql(
    database.url,
    "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'tandem.receipts'::regclass ORDER BY 1",
  );
  return rows.map(({ name }) => String(name));
};
const idAt = (time: number, end = "000000000001"): string => {
  const hex = time.toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-${end}`;
};
const refuse = async (requestId: string, connection: TestConnection): Promise<unknown> => {
  const { text, values } = insertRefused({ caller: "somebody", requestId });
  return connection.run(text, values).catch((error: unknown) => {
    const failure = receiptFailure(error);
    return failure instanceof HandlerError ? failure.reason : failure.name;
  });
};

test("a receipt says refused where it has no response, and nowhere else", async () => {
  await keep();
  const insert = (state: string, response: string): Promise<unknown> =>
    runSql(
      database.urlFor(roles.app),
      `INSERT INTO tandem.receipts (request_id, caller, state, fingerprint, response)
       VALUES ('${idAt(Date.now())}', '${state} ${response}', '${state}', '', ${response})`,
    );
  await expect(insert("committed", "NULL")).rejects.toThrow("receipts_response_check");
  await expect(insert("refused", "''")).rejects.toThrow("receipts_response_check");
  await insert("committed", "''");
  await insert("refused", "NULL");
});

describe("the room for receipts", () => {
  test("is there for the retention and a day ahead, and is made once", async () => {
    const connection = await connect();
    expect(await refuse(idAt(Date.now()), connection)).toBe("NOT_READY");
    expect(await Promise.all([keep(), keep(), keep()])).toEqual([0, 0, 0]);
    const made = await partitions();
    expect(await keep()).toBe(0);
    expect(await partitions()).toEqual(made);
    for (const hours of [-24, -23.9, -4, 0, 4, 23.9]) {
      expect(await refuse(idAt(Date.now() + hours * HOUR_MS), connection)).toEqual([]);
    }
    expect(await refuse(idAt(Date.now() + 30 * HOUR_MS), connection)).toBe("NOT_READY");
  });

  test("of an age is dropped whole, and never made again", async () => {
    const connection = await connect();
    await keep();
    const old = idAt(Date.now() - 20 * HOUR_MS);
    expect(await refuse(old, connection)).toEqual([]);
    expect(await keepAll("2 hours")).toBe(0);
    expect(await refuse(old, connection)).toBe("NOT_READY");
    expect(await keep("24 hours")).toBe(0);
    // Its receipt is gone: to let it be committed now could be to commit it a second time.
    expect(await refuse(old, connection)).toBe("NOT_READY");
    expect(await refuse(idAt(Date.now() - 2 * HOUR_MS), connection)).toEqual([]);
  });

  test("is made while receipts are being written, and is dropped when nobody uses it", async () => {
    await keep("1 hour");
    const writer = await connect();
    await writer.run("BEGIN");
    expect(await refuse(idAt(Date.now()), writer)).toEqual([]);
    // What is due ahead is made by its owner's hand, as if a day had passed.
    const ahead = (await partitions()).at(-1) ?? "";
    await writer.run("COMMIT");
    await runSql(database.urlFor(roles.owner), `DROP TABLE ${ahead}`);
    await writer.run("BEGIN");
    expect(await refuse(idAt(Date.now(), "000000000002"), writer)).toEqual([]);
    expect(await keep("1 hour")).toBe(0);
    expect(await partitions()).toContain(ahead);
    await writer.run("COMMIT");
  });

  test("stays for another while where it can't be had", async () => {
    await keep();
    const writer = await connect();
    await writer.run("BEGIN");
    expect(await refuse(idAt(Date.now()), writer)).toEqual([]);
    const before = await partitions();
    expect(await keepAll("2 hours")).toBeGreaterThan(0);
    expect(await partitions()).toEqual(before);
    await writer.run("COMMIT");
    expect(await keepAll("2 hours")).toBe(0);
    expect((await partitions()).length).toBeLessThan(before.length);
  });

  test("is kept by the service, which goes on after a failure", async () => {
    const store = createDatabase({ url: database.urlFor(roles.app), applicationName: "test" });
    const lines: string[] = [];
    const logger = createLogger({
      service: "test",
      level: "info",
      destination: { write: (line) => void lines.push(line) },
    });
    const keeping = await keepReceipts({
      database: store,
      logger,
      intervalMs: 20,
      retryMs: 20,
      signal: new AbortController().signal,
    });
    const [newest = ""] = (await partitions()).toReversed();
    const may = (verb: string): Promise<unknown> =>
      runSql(
        database.urlFor(roles.owner),
        `${verb} EXECUTE ON FUNCTION tandem.keep_receipts(interval) ${verb === "GRANT" ? "TO" : "FROM"} ${roles.app.name}`,
      );
    await may("REVOKE");
    await expect.poll(() => lines.join("")).toContain("the receipts could not be kept in order");
    await runSql(database.urlFor(roles.owner), `DROP TABLE ${newest}`);
    await may("GRANT");
    await expect.poll(partitions).toContain(newest);
    await keeping[Symbol.asyncDispose]();
    await store.close();
  });
});

describe("settling a request", () => {
  const patience = { deadline: undefined, signal: new AbortController().signal };
  const runOn =
    (connection: TestConnection) =>
    async ({ text, values }: TextStatement) => {
      const rows = await connection.run(text, values);
      return rows.map((row) => Object.values(row) as (string | null)[]);
    };

  test("is one caller's: the same id of another is another request", async () => {
    await keep();
    const receipts = createReceipts({ timeoutMs: 1_000, run: runOn(await connect()) });
    const requestId = idAt(Date.now());
    expect(await receipts.settle({ caller: "one", requestId }, patience)).toEqual({ state: "refused" });
    expect(await receipts.find({ caller: "one", requestId }, patience)).toEqual({ state: "refused" });
    expect(await receipts.find({ caller: "other", requestId }, patience)).toBeUndefined();
    expect(await receipts.settle({ caller: "one", requestId }, patience)).toEqual({ state: "refused" });
  });

  test("is tried again until its connection is back, and no longer than it may take", async () => {
    await keep();
    let failures = 2;
    const run = runOn(await connect());
    const lost = Object.assign(new Error("gone"), { code: "ECONNRESET" });
    const flaky = createReceipts({
      timeoutMs: 2_000,
      run: async (statement) => {
        if (failures-- > 0) throw lost;
        return run(statement);
      },
    });
    expect(await flaky.settle({ caller: "one", requestId: idAt(Date.now()) }, patience)).toEqual({
      state: "refused",
    });
    const never = createReceipts({ timeoutMs: 250, run: () => Promise.reject(lost) });
    const started = performance.now();
    const failure = await never
      .settle({ caller: "one", requestId: idAt(Date.now()) }, patience)
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(HandlerError);
    expect(failure).toMatchObject({ reason: "DATABASE_UNAVAILABLE", outcome: "UNKNOWN", retryable: true });
    expect(performance.now() - started).toBeLessThan(1_000);
  });
});
