import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { createDbProxy, type DbProxy, sql } from "@tandem/dbproxy";
import { HandlerError, TransportError } from "@tandem/rpc";
import { expectNoOpenTransactions, runSql } from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createPair, type Pair, type Service } from "../pair.ts";
import { readChaosConfig } from "./config.ts";
import { createRandom } from "./random.ts";

const { seed, terminations } = readChaosConfig();
const CALLERS = 8;
const CALL_TIMEOUT_MS = 5_000;
const RECOVERY_MS = 5_000;

let pair: Pair;
let assistant: Service;
let db: DbProxy;
beforeAll(async () => {
  pair = await createPair();
  assistant = await pair.startAssistant();
  await assistant.serving();
  db = createDbProxy({ address: await assistant.address(), timeoutMs: CALL_TIMEOUT_MS });
});
afterAll(async () => {
  db.close();
  await pair[Symbol.asyncDispose]();
});

type End = "committed" | "not committed" | "unknown";

it(
  `keeps every transaction whole while ${terminations} of its backends are terminated (TANDEM_CHAOS_SEED=${seed})`,
  async () => {
    const random = createRandom(seed);
    const ends = new Map<string, End>();
    const state = { running: true, longestMs: 0 };
    const caller = async (): Promise<void> => {
      while (state.running) {
        const id = randomUUID();
        const started = performance.now();
        ends.set(id, await write(id));
        state.longestMs = Math.max(state.longestMs, performance.now() - started);
      }
    };
    const callers = Array.from({ length: CALLERS }, caller);
    let terminated = 0;
    while (terminated < terminations) {
      await delay(random() * 20);
      terminated += await terminateOne(random);
    }
    state.running = false;
    await Promise.all(callers);

    // The service goes on, soon, and in the same process.
    await expect.poll(() => write(randomUUID()), { timeout: RECOVERY_MS }).toBe("committed");
    assistant.process.kill("SIGTERM");
    expect(await assistant.process.waitForExit()).toEqual({ code: 0, signal: null });
    await expectNoOpenTransactions(pair.assistant.url);

    // No call waited longer than its deadline, and each told the truth.
    expect(state.longestMs).toBeLessThan(CALL_TIMEOUT_MS + 1_000);
    const whole = await idsIn("SELECT c.id FROM contacts c JOIN contact_channels h ON h.contact_id = c.id");
    const any = await idsIn("SELECT id FROM contacts UNION SELECT contact_id FROM contact_channels");
    const of = (wanted: End): string[] => [...ends].filter(([, end]) => end === wanted).map(([id]) => id);
    expect(
      [...any].filter((id) => !whole.has(id)),
      "half of a transaction",
    ).toEqual([]);
    expect(
      of("committed").filter((id) => !whole.has(id)),
      "acknowledged and lost",
    ).toEqual([]);
    expect(
      of("not committed").filter((id) => any.has(id)),
      "denied and there",
    ).toEqual([]);
    expect(of("not committed").length + of("unknown").length, "calls that were hit").toBeGreaterThan(0);
    const counts = (["committed", "not committed", "unknown"] as const).map(
      (end) => `${of(end).length} ${end}`,
    );
    process.stderr.write(
      `chaos: ${terminated} backends terminated under ${ends.size} calls: ${counts.join(", ")}\n`,
    );
  },
  60_000 + terminations * 200,
);

/** One transaction of two writes, and what its caller is told of it. */
async function write(id: string): Promise<End> {
  try {
    await db.transaction([
      sql`INSERT INTO contacts (id, display_name) VALUES (${id}, ${"Ada"})`,
      {
        statement: sql`INSERT INTO contact_channels (id, contact_id, type, address) VALUES (${id}, ${id}, 'email', ${id})`,
        guard: { min: 1, max: 1 },
      },
    ]);
    return "committed";
  } catch (error) {
    if (error instanceof HandlerError) return error.outcome === "NOT_COMMITTED" ? "not committed" : "unknown";
    if (error instanceof TransportError) return error.sent === "no" ? "not committed" : "unknown";
    throw error;
  }
}

async function terminateOne(random: () => number): Promise<number> {
  const backends = await runSql(
    pair.assistant.url,
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename = 'assistant_dbproxy'",
  );
  const chosen = backends[Math.floor(random() * backends.length)];
  if (chosen === undefined) return 0;
  await runSql(pair.assistant.url, `SELECT pg_terminate_backend(${Number(chosen["pid"])})`);
  return 1;
}

async function idsIn(query: string): Promise<ReadonlySet<string>> {
  const rows = await runSql(pair.assistant.url, query);
  return new Set(rows.map((row) => String(Object.values(row)[0])));
}
