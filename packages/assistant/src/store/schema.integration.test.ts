import {
  bootstrapCluster,
  createDatabase,
  type Database,
  migrate,
  assistantDatabase,
  translateDatabaseError,
} from "@tandem/postgres";
import { createTestDatabase, expectNoBackends, type TestDatabase } from "@tandem/testkit";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { migrationsFolders } from "./migrations-folder.ts";
import { contactChannels, contacts } from "./schema.ts";

const { roles } = assistantDatabase;
const passwords = Object.fromEntries(Object.values(roles).map((role) => [role, `${role}-test`]));
const contactId = "01980000-0000-7000-8000-000000000001";
const channelId = "01980000-0000-7000-8000-000000000002";

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  const plan = { ...assistantDatabase, name: testDatabase.name };
  await bootstrapCluster({ adminUrl: testDatabase.adminUrl, databases: [plan], passwords });
  await migrate({ url: urlFor(roles.owner), folders: migrationsFolders() });
  database = createDatabase({ url: urlFor(roles.app), applicationName: "test" });
  await database.drizzle.insert(contacts).values({ id: contactId, displayName: "Ada" });
});

afterAll(async () => {
  await database.close();
  await expectNoBackends(testDatabase.url);
  await testDatabase.drop();
});

function urlFor(role: string): string {
  return testDatabase.urlFor({ name: role, password: passwords[role] ?? "" });
}

test("the app's role writes and reads contacts, with times to the microsecond", async () => {
  const time = "2026-01-02 03:04:05.678901+00";
  await database.drizzle.update(contacts).set({ createdAt: time }).where(eq(contacts.id, contactId));
  const found = await database.drizzle.select().from(contacts).where(eq(contacts.id, contactId));
  expect(found).toMatchObject([{ displayName: "Ada", role: "contact", version: 2n, createdAt: time }]);
});

test("an address belongs to one channel of its type, in states that are known, and goes with its contact", async () => {
  const channel = { id: channelId, contactId, type: "email", address: "ada@example.org" };
  await database.drizzle.insert(contactChannels).values(channel);
  const [found] = await database.drizzle.select().from(contactChannels);
  expect(found).toMatchObject({
    status: "unverified",
    policy: "allow",
    isPrimary: false,
    interactionCount: 0n,
  });

  const again = database.drizzle.insert(contactChannels).values({ ...channel, id: contactId });
  expect(await again.catch(translateDatabaseError)).toMatchObject({
    reason: "UNIQUE_VIOLATION",
    database: { constraint: "contact_channels_type_address_key" },
  });
  const unknown = database.sql`UPDATE contact_channels SET status = 'other'`;
  expect(await unknown.catch(translateDatabaseError)).toMatchObject({ reason: "CHECK_VIOLATION" });

  await database.drizzle.delete(contacts).where(eq(contacts.id, contactId));
  expect(await database.drizzle.select().from(contactChannels)).toEqual([]);
});
