import { createDatabase, type Database, gatewayDatabase, bootstrapCluster, migrate } from "@tandem/postgres";
import type { HandlerError } from "@tandem/rpc";
import { createTestDatabase, expectNoBackends, type TestDatabase, waitFor } from "@tandem/testkit";
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { migrationsFolders } from "../store/migrations-folder.ts";
import { type Attempt, type AttemptLimits, createAttempts } from "./attempts.ts";
import { inviteLimits } from "./limits.ts";

const { roles } = gatewayDatabase;
const passwords = Object.fromEntries(Object.values(roles).map((role) => [role, `${role}-test`]));
const { signal } = new AbortController();

let testDatabase: TestDatabase;
/** As two replicas have it. */
let databases: readonly [Database, Database];
beforeAll(async () => {
  testDatabase = await createTestDatabase();
  const plan = { ...gatewayDatabase, name: testDatabase.name };
  await bootstrapCluster({ adminUrl: testDatabase.adminUrl, databases: [plan], passwords });
  await migrate({ url: urlFor(roles.owner), folders: migrationsFolders() });
  const open = (): Database => createDatabase({ url: urlFor(roles.app), applicationName: "test" });
  databases = [open(), open()];
});
afterAll(async () => {
  for (const database of databases) await database.close();
  await expectNoBackends(testDatabase.url);
  await testDatabase.drop();
});

function urlFor(role: string): string {
  return testDatabase.urlFor({ name: role, password: passwords[role] ?? "" });
}

/** Two replicas, and somebody who guesses at a channel of their own. */
function given(limits: Partial<AttemptLimits> = {}) {
  const guesser = { channel: randomUUID(), redeemer: "@eve" };
  const [one, other] = databases.map((database) => createAttempts(database, { ...inviteLimits, ...limits }));
  return {
    guesser,
    one: one!,
    other: other!,
    reserve: (by = one!, who = guesser): Promise<Attempt> => by.reserve(who, signal),
    guess: async (by = one!, who = guesser): Promise<void> => (await by.reserve(who, signal)).wrong(),
  };
}

const tooMany = { reason: "TOO_MANY_ATTEMPTS", code: 8, retryable: false };

it("lets five wrong ones through, and then none for half an hour", async () => {
  const { guess, reserve, one, other } = given();
  for (const by of [one, other, one, other, one]) await guess(by);
  for (const by of [one, other]) {
    const refused = await reserve(by).catch((error: unknown) => error as HandlerError);
    expect(refused).toMatchObject(tooMany);
    const { retryAfterMs } = refused as HandlerError;
    expect(retryAfterMs).toBeGreaterThan(29 * 60_000);
    expect(retryAfterMs).toBeLessThanOrEqual(30 * 60_000);
  }
});

it("counts redeemers and channels apart", async () => {
  const { guess, guesser } = given();
  for (let wrong = 0; wrong < 5; wrong += 1) await guess();
  await guess(undefined, { ...guesser, redeemer: "@ada" });
  await guess(undefined, { ...guesser, channel: randomUUID() });
});

it("lets no more through at once than may be wrong, over all replicas", async () => {
  const { reserve, one, other } = given({ maxAttemptWaitMs: 50 });
  const reserved = await Promise.allSettled(
    Array.from({ length: 50 }, (_, index) => reserve(index % 2 === 0 ? one : other)),
  );
  expect(reserved.filter(({ status }) => status === "fulfilled")).toHaveLength(5);
  for (const each of reserved) {
    if (each.status === "rejected") expect(each.reason).toMatchObject({ ...tooMany, retryAfterMs: 1_000 });
  }
});

it("lets those wait that would be too many, until others turn out to be right, or wrong", async () => {
  const { reserve } = given({ maxAttemptWaitMs: 30_000 });
  const first = await Promise.all(Array.from({ length: 5 }, () => reserve()));
  const next = reserve();
  await first[0]!.giveBack();
  const sixth = await next;
  const refused = expect(reserve()).rejects.toMatchObject(tooMany);
  for (const attempt of [...first.slice(1), sixth]) await attempt.wrong();
  await refused;
});

it("does not count what was right, however often", async () => {
  const { reserve, guess } = given();
  for (let right = 0; right < 20; right += 1) await (await reserve()).giveBack();
  for (let wrong = 0; wrong < 4; wrong += 1) await guess();
  await (await reserve()).giveBack();
  await guess();
  await expect(reserve()).rejects.toMatchObject(tooMany);
});

it("begins anew when the window is over, and counts nothing that comes late", async () => {
  const { reserve, guess, guesser } = given({ attemptsWindowMs: 300 });
  for (let wrong = 0; wrong < 4; wrong += 1) await guess();
  const late = await reserve();
  await waitFor(async () => (await countOf(guesser)).isOver, { describe: "the window to be over" });
  await guess();
  await late.wrong();
  expect(await countOf(guesser)).toMatchObject({ attempts: 1, wrong: 1 });

  async function countOf({ channel }: typeof guesser) {
    const [row] = await databases[0].sql<{ attempts: number; wrong: number; isOver: boolean }>`
      SELECT attempts, wrong, since < now() - interval '300 ms' AS "isOver" FROM redeem_attempts
      WHERE channel = ${channel}`;
    return row!;
  }
});

it("begins anew when the lock is over", async () => {
  const { reserve, guess } = given({ lockedMs: 300 });
  for (let wrong = 0; wrong < 5; wrong += 1) await guess();
  await expect(reserve()).rejects.toMatchObject(tooMany);
  const attempt = await waitFor(() => reserve(), { describe: "the lock to be over" });
  await attempt.wrong();
  for (let wrong = 0; wrong < 4; wrong += 1) await guess();
  await expect(reserve()).rejects.toMatchObject(tooMany);
});

it("keeps counting what was never said to be right or wrong", async () => {
  const { reserve } = given({ maxAttemptWaitMs: 0 });
  for (let lost = 0; lost < 5; lost += 1) await reserve();
  await expect(reserve()).rejects.toMatchObject(tooMany);
});

it("slows down those who guess at a channel as many, and locks nobody out", async () => {
  const { guess, guesser, one } = given({ maxWrongAMinute: 10, maxSlowDownMs: 400 });
  const timed = async (channel: string): Promise<number> => {
    const began = performance.now();
    await (await one.reserve({ channel, redeemer: "@ada" }, signal)).giveBack();
    return performance.now() - began;
  };
  for (let wrong = 0; wrong < 10; wrong += 1)
    await guess(undefined, { ...guesser, redeemer: `@eve${wrong}` });
  expect(await timed(guesser.channel)).toBeLessThan(300);
  // Many more, of this minute, whenever the test runs.
  await databases[0].sql`
    UPDATE wrong_secrets SET count = 1000, minute = date_trunc('minute', now()) WHERE channel = ${guesser.channel}`;
  expect(await timed(guesser.channel)).toBeGreaterThan(395);
  expect(await timed(randomUUID())).toBeLessThan(300);
});

it("gives an attempt back that is called off while it is slowed down", async () => {
  const { guesser, one } = given({ maxWrongAMinute: 0, maxSlowDownMs: 60_000 });
  await databases[0].sql`
    INSERT INTO wrong_secrets (channel, minute, count) VALUES (${guesser.channel}, date_trunc('minute', now()), 100000)`;
  const leaving = new AbortController();
  const slowed = one.reserve(guesser, leaving.signal);
  const attempts = async (): Promise<number | undefined> =>
    (
      await databases[0].sql<{ attempts: number }>`
        SELECT attempts FROM redeem_attempts WHERE channel = ${guesser.channel}`
    )[0]?.attempts;
  await waitFor(async () => (await attempts()) === 1, { describe: "the attempt to be reserved" });
  leaving.abort();
  await expect(slowed).rejects.toThrow();
  expect(await attempts()).toBe(0);
});

it("forgets what is over, and nothing else", async () => {
  const { guess, one } = given();
  for (let wrong = 0; wrong < 5; wrong += 1) await guess();
  const old = given();
  await old.guess();
  await databases[0].sql`
    UPDATE redeem_attempts SET since = now() - interval '1 day', locked_until = now() - interval '23 hours'
    WHERE channel = ${old.guesser.channel}`;
  await databases[0].sql`
    UPDATE wrong_secrets SET minute = now() - interval '1 day' WHERE channel = ${old.guesser.channel}`;
  await one.forget();
  await expect(guess()).rejects.toMatchObject(tooMany);
  for (const table of ["redeem_attempts", "wrong_secrets"]) {
    const left = await databases[0].run({
      text: `SELECT FROM ${table} WHERE channel = $1`,
      values: [old.guesser.channel],
    });
    expect(left).toHaveLength(0);
  }
});

it("says that the database can't be reached, and that nothing was done", async () => {
  const away = createDatabase({ url: "postgres://app@127.0.0.1:1/nowhere", applicationName: "test" });
  const failed = { reason: "DATABASE_UNAVAILABLE", outcome: "NOT_COMMITTED", retryable: true };
  const { reserve, guesser } = given();
  await expect(reserve(createAttempts(away), guesser)).rejects.toMatchObject(failed);
  await away.close();
});
