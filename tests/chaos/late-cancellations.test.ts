import { DbProxy } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { type Channel, type Client, createChannel, createClient, StatusCode } from "@tandem/rpc";
import { expectNoOpenTransactions } from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createPair, type Pair, type Service } from "../pair.ts";
import { readChaosConfig } from "./config.ts";
import { createRandom } from "@tandem/testkit/random";

const { seed, cancellations } = readChaosConfig();
// Together as many as there are connections: nobody is refused for what he would wait.
const LEAVING_CALLERS = 5;
const STAYING_CALLERS = 5;

let pair: Pair;
let assistant: Service;
let channel: Channel;
let client: Client<typeof DbProxy>;
beforeAll(async () => {
  pair = await createPair();
  assistant = await pair.startAssistant();
  await assistant.serving();
  channel = createChannel({ address: await assistant.dbProxyAddress() });
  client = createClient(DbProxy, channel);
});
afterAll(async () => {
  channel.close();
  await pair[Symbol.asyncDispose]();
});

it(
  `cancels nobody's statement but the leaving caller's, ${cancellations} times around its end (TANDEM_CHAOS_SEED=${seed})`,
  async () => {
    const random = createRandom(seed);
    const left = { usualMs: 20, tries: 0, cut: 0, through: 0 };
    const stayed = { running: true, calls: 0, failures: [] as unknown[] };
    const leaving = async (): Promise<void> => {
      while (left.tries < cancellations) {
        left.tries += 1;
        // Half of them by a deadline, which PostgreSQL keeps too, half by leaving, of which it is told.
        const ms = Math.ceil(left.usualMs * (0.5 + random()));
        const options = left.tries % 2 === 0 ? { timeoutMs: ms } : { signal: AbortSignal.timeout(ms) };
        const end = await call(options).then(() => "through" as const, assertCut);
        left[end] += 1;
        // As many are to be cut off as come through, however busy the machine is.
        left.usualMs *= end === "cut" ? 1.05 : 0.95;
      }
    };
    const staying = async (): Promise<void> => {
      while (stayed.running) {
        stayed.calls += 1;
        await call({}).catch((error: unknown) => stayed.failures.push(error));
      }
    };
    const all = Array.from({ length: STAYING_CALLERS }, staying);
    await Promise.all(Array.from({ length: LEAVING_CALLERS }, leaving)).finally(
      () => (stayed.running = false),
    );
    await Promise.all(all);
    process.stderr.write(
      `chaos: of ${left.tries} calls ${left.cut} were cut off and ${left.through} came through, beside ${stayed.calls} that stayed\n`,
    );
    expect(stayed.failures, "statements that nobody cancelled").toEqual([]);
    // They were around the end: on both sides of it.
    expect(Math.min(left.cut, left.through)).toBeGreaterThan(cancellations / 20);
    await expectNoOpenTransactions(pair.assistant.url);
  },
  60_000 + cancellations * 50,
);

/** Short, so that there is an end all the time; the raw client, so that nothing is sent again unseen. */
async function call(options: { readonly timeoutMs?: number; readonly signal?: AbortSignal }): Promise<void> {
  const steps = ["SELECT nap(0.003)", "SELECT nap(0.001)"].map((sql) => ({
    statement: { case: "sql" as const, value: sql },
  }));
  await client.transaction({ steps }, options);
}

function assertCut(error: unknown): "cut" {
  const { code } = error as { readonly code?: unknown };
  if (code === StatusCode.CANCELLED || code === StatusCode.DEADLINE_EXCEEDED) return "cut";
  // While the connection of the call before is being replaced, so short a call is refused as too late: as good.
  if (code === StatusCode.RESOURCE_EXHAUSTED) return "cut";
  throw error;
}
