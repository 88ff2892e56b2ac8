import { randomUUID } from "node:crypto";
import { createDbProxy, type DbProxy, sql } from "@tandem/dbproxy";
import { runSql } from "@tandem/testkit";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createPair, type Pair, type Service } from "../pair.ts";
import { readChaosConfig } from "./config.ts";

const { restarts } = readChaosConfig();
const CALLS_PER_SECOND = 100;
const EXIT_MS = 10_000;

let pair: Pair;
beforeEach(async () => {
  pair = await createPair();
});
afterEach(() => pair[Symbol.asyncDispose]());

it(
  `two instances are restarted in turn, ${restarts} times each, under load: no call fails, and each stops in order`,
  async () => {
    const instances = [await startInstance(), await startInstance()];
    const db = createDbProxy({ address: instances.map(({ address }) => address) });
    const load = startLoad(db);
    for (let round = 0; round < restarts; round += 1) {
      for (const instance of instances) {
        await load.isRunning();
        const started = performance.now();
        instance.service.process.kill("SIGTERM");
        expect(await instance.service.process.waitForExit({ timeoutMs: EXIT_MS })).toEqual({
          code: 0,
          signal: null,
        });
        process.stderr.write(`chaos: stopped in ${Math.round(performance.now() - started)} ms\n`);
        instance.service = await pair.startAssistant({ TANDEM_DBPROXY_LISTEN: instance.address });
        await instance.service.serving();
      }
    }
    await load.isRunning();
    const { calls, failures } = await load.end();
    db.close();
    process.stderr.write(
      `chaos: ${calls} calls during ${restarts * 2} restarts, ${failures.length} failed\n`,
    );
    expect(failures).toEqual([]);
    // Each once.
    const [found] = await runSql(pair.assistant.url, "SELECT count(*)::int AS count FROM contacts");
    expect(found).toEqual({ count: calls });
  },
  30_000 + restarts * 30_000,
);

interface Instance {
  readonly address: string;
  service: Service;
}

async function startInstance(): Promise<Instance> {
  const service = await pair.startAssistant();
  await service.serving();
  return { service, address: await service.dbProxyAddress() };
}

interface Load {
  /** Resolves when calls have come through from now on. */
  isRunning(): Promise<void>;
  end(): Promise<{ readonly calls: number; readonly failures: readonly unknown[] }>;
}

/** Writes at a steady pace, whatever becomes of the writes before. */
function startLoad(db: DbProxy): Load {
  const failures: unknown[] = [];
  const calls: Promise<void>[] = [];
  let through = 0;
  const write = async (): Promise<void> => {
    try {
      await db.transaction([
        sql`INSERT INTO contacts (id, display_name) VALUES (${randomUUID()}, ${"Ada"})`,
        sql`SELECT nap(0.02)`,
      ]);
      through += 1;
    } catch (error) {
      failures.push(error);
    }
  };
  const timer = setInterval(() => calls.push(write()), 1_000 / CALLS_PER_SECOND);
  return {
    isRunning: async () => {
      const before = through;
      await expect.poll(() => through, { interval: 10 }).toBeGreaterThan(before + CALLS_PER_SECOND / 2);
    },
    end: async () => {
      clearInterval(timer);
      await Promise.all(calls);
      return { calls: calls.length, failures };
    },
  };
}
