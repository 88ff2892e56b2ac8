import { randomUUID } from "node:crypto";
import { createDbProxy, type DbProxy, sql } from "@tandem/dbproxy";
import { HandlerError, TransportError } from "@tandem/rpc";
import { expectNoOpenTransactions } from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createPair, type Pair, type Service } from "../pair.ts";
import { readChaosConfig } from "./config.ts";
import { createRandom } from "@tandem/testkit/random";
import { type End, expectTruth, terminateBackends } from "./terminations.ts";

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
  db = createDbProxy({ address: await assistant.dbProxyAddress(), timeoutMs: CALL_TIMEOUT_MS });
});
afterAll(async () => {
  db.close();
  await pair[Symbol.asyncDispose]();
});

it(
  `keeps every transaction whole while ${terminations} of its backends are terminated (TANDEM_CHAOS_SEED=${seed})`,
  async () => {
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
    await terminateBackends({
      url: pair.assistant.url,
      whose: "usename = 'assistant_dbproxy'",
      count: terminations,
      random: createRandom(seed),
    });
    state.running = false;
    await Promise.all(callers);

    // The service goes on, soon, and in the same process.
    await expect.poll(() => write(randomUUID()), { timeout: RECOVERY_MS }).toBe("committed");
    assistant.process.kill("SIGTERM");
    expect(await assistant.process.waitForExit()).toEqual({ code: 0, signal: null });
    await expectNoOpenTransactions(pair.assistant.url);

    // No call waited longer than its deadline, and each told the truth.
    expect(state.longestMs).toBeLessThan(CALL_TIMEOUT_MS + 1_000);
    const truth = await expectTruth({
      url: pair.assistant.url,
      ends,
      whole: "SELECT c.id FROM contacts c JOIN contact_channels h ON h.contact_id = c.id",
      any: "SELECT id FROM contacts UNION SELECT contact_id FROM contact_channels",
    });
    process.stderr.write(`chaos: ${terminations} backends terminated under ${truth}\n`);
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
    if (error instanceof HandlerError) return error.outcome === "NOT_COMMITTED" ? "denied" : "unknown";
    if (error instanceof TransportError) return error.sent === "no" ? "denied" : "unknown";
    throw error;
  }
}
