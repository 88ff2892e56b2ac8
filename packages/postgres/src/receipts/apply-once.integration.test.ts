import { HandlerError } from "@tandem/rpc";
import {
  createTcpRelay,
  expectNoOpenTransactions,
  runSql,
  type TcpRelay,
  type TestDatabase,
} from "@tandem/testkit";
import { randomUUIDv7 } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createDatabase, type Database } from "../create-database.ts";
import {
  createReceiptsDatabase,
  createReceiptsRoles,
  type ReceiptsRoles,
} from "../testing/receipts-database.ts";
import { applyOnce, createStoreReceipts } from "./apply-once.ts";
import { parseRequestIdentity } from "./request-identity.ts";

// Two instances of a service, each with a link of its own to its database.
let roles: ReceiptsRoles;
let target: TestDatabase;
let relay: TcpRelay;
let one: Database;
let other: Database;
beforeAll(async () => {
  roles = await createReceiptsRoles("apply_once_test");
  target = await createReceiptsDatabase(roles);
  await runSql(target.urlFor(roles.owner), "CREATE TABLE effects (request uuid NOT NULL)");
  const at = new URL(target.urlFor(roles.app));
  relay = await createTcpRelay({ target: { host: at.hostname, port: Number(at.port) } });
  other = createDatabase({ url: at.href, applicationName: "other" });
  at.port = String(relay.port);
  one = createDatabase({ url: at.href, applicationName: "one" });
  await other.sql`SELECT tandem.keep_receipts(interval '1 day')`;
});
beforeEach(() => runSql(target.url, "TRUNCATE effects"));
afterAll(async () => {
  await one.close();
  await other.close();
  await relay.close();
  await expectNoOpenTransactions(target.url);
  await target.drop();
  await runSql(target.adminUrl, `DROP ROLE ${roles.owner.name}, ${roles.app.name}`);
});

const patience = { deadline: undefined, signal: new AbortController().signal };

function write(database: Database, requestId: string, attempt = 0, answer = "done"): Promise<string> {
  const identity = parseRequestIdentity({
    caller: "peer",
    requestId,
    attempt,
    fingerprint: Buffer.from("what it asks for"),
    requestedAt: new Date(),
    sourceInstanceId: "test",
  });
  const receipts = createStoreReceipts(database, { timeoutMs: 2_000 });
  const applied = applyOnce(database, { identity, patience, receipts }, async ({ sql }) => {
    await sql`INSERT INTO effects VALUES (${requestId})`;
    if (answer === "no") throw new HandlerError({ reason: "GUARD_UNMET", message: "No." });
    return Buffer.from(answer);
  });
  return applied.then((response) => Buffer.from(response).toString());
}

const effects = async (): Promise<number> => (await runSql(target.url, "SELECT 1 FROM effects")).length;

test("a store's own write has one effect, however often it is sent", async () => {
  const requestId = randomUUIDv7();
  const copies = await Promise.all([one, other, one, other].map((database) => write(database, requestId)));
  expect(new Set(copies)).toEqual(new Set(["done"]));
  expect(await write(one, requestId, 1, "another answer")).toBe("done");
  expect(await effects()).toBe(1);
});

test("a copy that fails is settled, and a held one can't commit any more", async () => {
  const requestId = randomUUIDv7();
  const point = { direction: "toServer", contains: "INSERT INTO tandem.receipts" } as const;
  const { fired } = relay.when(point, () => relay.stall({ direction: "toServer" }));
  const held = write(one, requestId).catch((error: unknown) => error);
  await fired;
  await expect(write(other, requestId, 1, "no")).rejects.toMatchObject({
    reason: "GUARD_UNMET",
    outcome: "NOT_COMMITTED",
  });
  relay.resume();
  expect(await held).toMatchObject({ reason: "REQUEST_REFUSED", outcome: "NOT_COMMITTED" });
  expect(await effects()).toBe(0);
});

test("a connection that is lost during COMMIT leaves no caller without an answer", async () => {
  const committed = randomUUIDv7();
  relay.when({ direction: "toClient", contains: "COMMIT\0" }, (connection) => connection.cut());
  expect(await write(one, committed)).toBe("done");
  const lost = randomUUIDv7();
  relay.when({ direction: "toServer", contains: "COMMIT\0" }, (connection) => connection.cut());
  await expect(write(one, lost)).rejects.toMatchObject({ reason: "REQUEST_REFUSED" });
  expect(await effects()).toBe(1);
});

// The last one: nothing fits any more.
test("a write for whose time there is no place is not committed, and may be sent again", async () => {
  const [{ name } = { name: "" }] = await runSql(
    target.url,
    "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'tandem.receipts'::regclass ORDER BY 1 OFFSET 6 LIMIT 1",
  );
  await runSql(target.urlFor(roles.owner), `ALTER TABLE tandem.receipts DETACH PARTITION ${String(name)}`);
  await expect(write(one, randomUUIDv7())).rejects.toMatchObject({
    reason: "NOT_READY",
    outcome: "NOT_COMMITTED",
    retryable: true,
  });
  expect(await effects()).toBe(0);
});
