import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { hashesOf, type InviteKeys, parseInviteKeys } from "@tandem/invites";
import {
  bootstrapCluster,
  createDatabase,
  createStoreReceipts,
  type Database,
  gatewayDatabase,
  keepReceipts,
  migrate,
} from "@tandem/postgres";
import { createLogger } from "@tandem/rpc";
import { createTestDatabase, expectNoBackends, runSql, type TestDatabase } from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Decider } from "../authority/decider.ts";
import { createOwnDecider } from "../authority/own-decider.ts";
import { migrationsFolders } from "../store/migrations-folder.ts";
import { createAttempts } from "./attempts.ts";
import { redeem } from "./redeem.ts";

const { roles } = gatewayDatabase;
const passwords = Object.fromEntries(Object.values(roles).map((role) => [role, `${role}-test`]));
const RIGHT = "123456";
const WRONG = "654321";

let testDatabase: TestDatabase;
let database: Database;
let receiptsKept: AsyncDisposable;
let keys: InviteKeys;
beforeAll(async () => {
  testDatabase = await createTestDatabase();
  const plan = { ...gatewayDatabase, name: testDatabase.name };
  await bootstrapCluster({ adminUrl: testDatabase.adminUrl, databases: [plan], passwords });
  await migrate({ url: urlFor(roles.owner), folders: migrationsFolders() });
  database = createDatabase({ url: urlFor(roles.app), applicationName: "test" });
  await runSql(urlFor(roles.owner), "UPDATE tandem.authority SET authority = 'gateway'");
  const logger = createLogger({ service: "gateway", level: "silent" });
  const { signal } = new AbortController();
  receiptsKept = await keepReceipts({ database, logger, signal });
  keys = parseInviteKeys(
    await readFile(new URL("../../../../tests/invite-keys.json", import.meta.url), "utf8"),
  );
});
afterAll(async () => {
  await receiptsKept[Symbol.asyncDispose]();
  await database.close();
  await expectNoBackends(testDatabase.url);
  await testDatabase.drop();
});

function urlFor(role: string): string {
  return testDatabase.urlFor({ name: role, password: passwords[role] ?? "" });
}

/** Somebody on a channel of their own, where there is an invite with a code that may be used often. */
async function given() {
  const [sourceChannel, address, contactId] = [randomUUID(), `@${randomUUID()}`, randomUUID()];
  const [hash] = hashesOf(keys, { kind: "code", secret: RIGHT });
  await runSql(
    urlFor(roles.app),
    `INSERT INTO contacts (id, display_name) VALUES ('${contactId}', 'Ada');
     INSERT INTO ingress_invites (id, contact_id, source_channel, key_id, invite_code_hash, max_uses, expires_at)
     VALUES (gen_random_uuid(), '${contactId}', '${sourceChannel}', 'test',
       '\\x${Buffer.from(hash?.hash ?? []).toString("hex")}', 100, now() + interval '1 day')`,
  );
  const own = createOwnDecider({
    database,
    receipts: createStoreReceipts(database, { timeoutMs: 1_000 }),
    instanceId: "gateway",
  });
  /** Shows a code, and leaves when so much has been read; undefined where they wait for the answer. */
  const show = async (
    secret: string,
    { leaveAfter }: { readonly leaveAfter?: number } = {},
  ): Promise<unknown> => {
    const leaving = new AbortController();
    const { signal } = leaving;
    let reads = 0;
    const leave = (): void => {
      if (reads === leaveAfter) leaving.abort();
    };
    const decider: Decider = {
      ...own,
      read: async (step, options) => {
        leave();
        const rows = await own.read(step, options);
        reads += 1;
        leave();
        return rows;
      },
    };
    const redemption = {
      shown: { kind: "code", secret },
      sourceChannel,
      externalUserId: address,
      externalChatId: null,
      address,
      channelId: randomUUID(),
      requestId: undefined,
    } as const;
    return redeem(redemption, {
      attempts: createAttempts(database),
      keys,
      decide: (work) => work(decider),
      write: { caller: "test", requestId: undefined, deadline: undefined, signal },
    }).catch((error: unknown) => error);
  };
  return show;
}

const locked = { reason: "TOO_MANY_ATTEMPTS", retryAfterMs: expect.any(Number) };

it.each([
  ["looked up", 1],
  ["and the side is known to decide", 2],
])(
  "a wrong code counts, whether its caller waits for the answer or leaves when it is %s",
  async (_, leaveAfter) => {
    const show = await given();
    for (let wrong = 0; wrong < 5; wrong += 1) await show(WRONG, { leaveAfter });
    const refused = await show(RIGHT);
    expect(refused).toMatchObject(locked);
    expect((refused as { readonly retryAfterMs: number }).retryAfterMs).toBeGreaterThan(29 * 60_000);
  },
);

it("what its caller leaves before it is looked up stays reserved", async () => {
  const show = await given();
  for (let left = 0; left < 5; left += 1) await show(RIGHT, { leaveAfter: 0 });
  expect(await show(RIGHT)).toMatchObject(locked);
});

it("the right code doesn't count, though its caller leaves before they are let in", async () => {
  const show = await given();
  for (let left = 0; left < 6; left += 1) {
    expect(await show(RIGHT, { leaveAfter: 1 })).not.toMatchObject({ outcome: "redeemed" });
  }
  expect(await show(RIGHT)).toMatchObject({ outcome: "redeemed" });
});
