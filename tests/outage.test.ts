import { createDbProxy, sql } from "@tandem/dbproxy";
import { HandlerError, TransportError } from "@tandem/rpc";
import { runSql } from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createPair, type Pair } from "./pair.ts";

let pair: Pair;
beforeAll(async () => {
  pair = await createPair();
});
afterAll(() => pair[Symbol.asyncDispose]());

const ask = sql<{ one: bigint }>`SELECT ${"1"}::text::int8 AS one`;
const sleep = sql`SELECT nap(20)`;

it("a gateway's calls fail honestly while the assistant is away, hang nowhere, and work when it is back", async () => {
  const placeholder = await pair.startAssistant();
  const address = await placeholder.dbProxyAddress();
  placeholder.process.kill("SIGKILL");
  await placeholder.process.waitForExit();
  const assistantDb = createDbProxy({ address, timeoutMs: 3_000 });
  const call = () => assistantDb.transaction([ask]).then(({ results }) => results[0].rows[0]?.one, failure);

  // Before it has ever been there.
  expect(await call()).toBe("not sent");

  // There; and both the gateway and a caller of it find that out by themselves.
  const gateway = await pair.startGateway({ TANDEM_ASSISTANT_ADDRESS: address });
  const first = await pair.startAssistant({ TANDEM_DBPROXY_LISTEN: address });
  await gateway.serving();
  await expect.poll(call).toBe(1n);

  // Lost in the middle of a call, and away: nobody waits longer than the deadline.
  const hanging = assistantDb.transaction([sleep]).catch(failure);
  const sleeping = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT nap%'";
  await expect.poll(() => runSql(pair.assistant.url, sleeping)).toHaveLength(1);
  first.process.kill("SIGKILL");
  await first.process.waitForExit();
  expect(await hanging).toBe("maybe sent");
  const started = Date.now();
  expect(await call()).toBe("not sent");
  expect(Date.now() - started).toBeLessThan(3_500);

  // Back.
  const second = await pair.startAssistant({ TANDEM_DBPROXY_LISTEN: address });
  await second.serving();
  await expect.poll(call).toBe(1n);
  assistantDb.close();
}, 60_000);

function failure(error: unknown): string {
  if (error instanceof TransportError) return error.sent === "no" ? "not sent" : "maybe sent";
  // Between listening and serving.
  if (error instanceof HandlerError) return error.reason;
  throw error;
}
