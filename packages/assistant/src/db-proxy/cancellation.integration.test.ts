import { randomUUID } from "node:crypto";
import { createLogger, StatusCode } from "@tandem/rpc";
import { waitFor } from "@tandem/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createDbProxy } from "./db-proxy.ts";
import { givenTransaction } from "../testing/given.ts";
import { createProxyFixture, failureOf, type ProxyFixture, step } from "../testing/proxy-fixture.ts";

/** How much later than its caller's deadline a statement may end. */
const GRACE_MS = 250;
// What a machine that does other things as well may add to a single try.
const NOISE_MS = 1_000;
const DEADLINES_MS = [60, 150, 300, 450, 600];
const HOUR_MS = 3_600_000;

let proxy: ProxyFixture;
const hold = new AbortController();
let holder: Promise<unknown>;
beforeAll(async () => {
  const limits = { statementTimeoutMs: HOUR_MS, transactionTimeoutMs: HOUR_MS, lockTimeoutMs: HOUR_MS };
  proxy = await createProxyFixture(limits);
  await proxy.allow("pg_sleep(double precision)");
  await proxy.define("CREATE TABLE locked (n int); INSERT INTO locked VALUES (0)");
  const steps = [step("UPDATE locked SET n = n + 1"), step("SELECT pg_sleep(3600), 'holder'")];
  holder = failureOf(proxy.transaction(steps, { signal: hold.signal, timeoutMs: HOUR_MS }));
  await waitFor(() => isRunning("holder"), { describe: "the lock to be taken" });
});
afterAll(async () => {
  hold.abort();
  await holder;
  await proxy[Symbol.asyncDispose]();
});

describe.each([
  ["sleeps", "SELECT pg_sleep(3600)"],
  ["computes", "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b"],
  ["waits for a lock", "UPDATE locked SET n = n + 1"],
])("a statement that for an hour %s", (_, sql) => {
  it.each([
    ["its caller's deadline", (ms: number) => ({ timeoutMs: ms })],
    ["its caller", (ms: number) => ({ signal: AbortSignal.timeout(ms), timeoutMs: HOUR_MS })],
  ])("ends with %s, and its backend with it", async (__, options) => {
    expectSoon(await Promise.all(DEADLINES_MS.map((ms) => latenessOf([sql], ms, options(ms)))));
  });
});

describe("a transaction of many short statements", () => {
  it("ends with its caller's deadline as a whole", async () => {
    const many = Array.from({ length: 100 }, () => "SELECT pg_sleep(0.05)");
    expectSoon([await latenessOf(many, 300, { timeoutMs: 300 })]);
  });
});

it("an instance that froze while a statement ran commits nothing after its caller's deadline", async () => {
  await proxy.define("CREATE TABLE late (n int); GRANT ALL ON late TO assistant_dbproxy");
  const logger = createLogger({ service: "assistant", level: "silent" });
  await using frozen = await createDbProxy({ url: proxy.roleUrl, logger });
  // Its timers have not fired by the time that the answer is read: nothing has aborted the call.
  const signal = new AbortController().signal;
  const request = givenTransaction({
    steps: [step("INSERT INTO late VALUES (1)"), step("SELECT pg_sleep(0.3)")],
  });
  const call = frozen.transaction(request, { name: "gateway", deadline: new Date(Date.now() + 200), signal });
  expect(await failureOf(call)).toMatchObject({ reason: "TRANSACTION_TIMEOUT", outcome: "NOT_COMMITTED" });
  expect(await proxy.sql("SELECT FROM late")).toHaveLength(0);
});

interface Lateness {
  /** How long after the end that was asked for the caller heard of it, and until the backend had ended. */
  readonly told: number;
  readonly gone: number;
}

async function latenessOf(
  statements: readonly string[],
  ms: number,
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<Lateness> {
  const mark = randomUUID();
  const due = performance.now() + ms;
  const error = await failureOf(
    proxy.transaction(
      statements.map((sql) => step(`${sql} -- ${mark}`)),
      options,
    ),
  );
  const told = performance.now() - due;
  await waitFor(async () => !(await isRunning(mark)), { describe: "the statement to end" });
  const gone = performance.now() - due;
  expect([StatusCode.DEADLINE_EXCEEDED, StatusCode.CANCELLED]).toContain((error as { code?: unknown }).code);
  return { told, gone };
}

function expectSoon(lateness: readonly Lateness[]): void {
  for (const what of ["told", "gone"] as const) {
    const sorted = lateness.map((each) => each[what]).toSorted((a, b) => a - b);
    expect(sorted[Math.floor(sorted.length / 2)], what).toBeLessThan(GRACE_MS);
    expect(sorted.at(-1), what).toBeLessThan(GRACE_MS + NOISE_MS);
  }
}

async function isRunning(part: string): Promise<boolean> {
  const rows = await proxy.sql(
    `SELECT FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle' AND query LIKE '%${part}%' AND pid <> pg_backend_pid()`,
  );
  return rows.length > 0;
}
