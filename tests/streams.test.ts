import { randomUUID } from "node:crypto";
import { createDbProxy, type DbProxy, sql } from "@tandem/dbproxy";
import { runSql, waitFor } from "@tandem/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createPair, type Pair, type Service } from "./pair.ts";

const DB_PROXY = "tandem.assistant.v1.DbProxy";
const LANES = 4;

interface Instance {
  readonly address: string;
  service: Service;
}

let pair: Pair;
let instances: Instance[];
beforeEach(async () => {
  pair = await createPair();
  instances = [await startInstance(), await startInstance()];
});
afterEach(() => pair[Symbol.asyncDispose]());

describe("a client of two assistants", () => {
  it("sends its transactions over a stream to each, and ends these when it is closed", async () => {
    const db = connect();
    const load = startLoad(db);
    await waitFor(() => Math.min(...counts("Transaction")) > 100, {
      describe: "both to be reached",
      pollMs: 200,
    });
    const calls = await load.end();
    expect(await countContacts()).toBe(calls);
    db.close();
    await waitFor(() => Math.min(...counts("TransactionStream")) > 0, { describe: "the streams to end" });
  });

  it("hears of no failure when one is killed, and comes back to it; each transaction is applied once", async () => {
    const db = connect();
    const load = startLoad(db);
    const [killed] = instances;
    if (killed === undefined) throw new TypeError("There is no instance.");
    await waitFor(() => Math.min(...counts("Transaction")) > 50, {
      describe: "both to be reached",
      pollMs: 200,
    });
    killed.service.process.kill("SIGKILL");
    await killed.service.process.waitForExit();
    await load.more(200);
    killed.service = await start({ TANDEM_DBPROXY_LISTEN: killed.address });
    await killed.service.serving();
    await waitFor(() => Math.min(...counts("Transaction")) > 50, {
      describe: "the one that is back to be reached",
      timeoutMs: 15_000,
      pollMs: 200,
    });
    const calls = await load.end();
    expect(await countContacts()).toBe(calls);
    db.close();
  });
});

function start(environment: Readonly<Record<string, string>> = {}): Promise<Service> {
  return pair.startAssistant({ TANDEM_LOG_LEVEL: "debug", ...environment });
}

async function startInstance(): Promise<Instance> {
  const service = await start();
  await service.serving();
  return { service, address: await service.dbProxyAddress() };
}

function connect(): DbProxy {
  return createDbProxy({ address: instances.map(({ address }) => address), timeoutMs: 20_000 });
}

/** How many calls of a method each instance says that it has ended; an item of a stream is one. */
function counts(method: string): number[] {
  return instances.map(
    ({ service }) =>
      service.log().filter((line) => line["msg"] === "call" && line["method"] === `${DB_PROXY}/${method}`)
        .length,
  );
}

async function countContacts(): Promise<unknown> {
  const [found] = await runSql(pair.assistant.url, "SELECT count(*)::int AS count FROM contacts");
  return found?.["count"];
}

/** Writes in so many lanes until it is told to stop. Fails with the first write that does. */
function startLoad(db: DbProxy) {
  const stopped = new AbortController();
  let calls = 0;
  const lanes = Array.from({ length: LANES }, async () => {
    while (!stopped.signal.aborted) {
      await db.transaction([sql`INSERT INTO contacts (id, display_name) VALUES (${randomUUID()}, ${"Ada"})`]);
      calls += 1;
    }
  });
  const all = Promise.all(lanes);
  all.catch(() => stopped.abort());
  return {
    more: (count: number): Promise<unknown> => {
      const enough = calls + count;
      return waitFor(() => calls >= enough, { describe: `${count} more calls`, timeoutMs: 15_000 });
    },
    end: async (): Promise<number> => {
      stopped.abort();
      await all;
      return calls;
    },
  };
}
