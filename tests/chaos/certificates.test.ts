import { randomUUID } from "node:crypto";
import { renameSync, symlinkSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createDbProxy, type DbProxy, sql } from "@tandem/dbproxy";
import { createDevelopmentAuthority, runSql, writeCertificateFiles } from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createPair, type Pair } from "../pair.ts";
import { readChaosConfig } from "./config.ts";

const { swaps } = readChaosConfig();
const SWAP_MS = 1_000;
const CALLERS = 4;
/** What a connection is made for in its turn, so that there are handshakes all the time. */
const CALLS_PER_CONNECTION = 20;

let folder: string;
let pair: Pair;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-swaps-"));
  pair = await createPair();
});
afterAll(async () => {
  await pair[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

it(
  `certificates of both sides are swapped ${swaps} times, their authority too, every second under load: no call fails`,
  async () => {
    const identities = await createSwappedIdentities();
    const assistant = await pair.startAssistant({
      TANDEM_TLS_CERTIFICATE_FILE: join(folder, "assistant", "certificate.pem"),
      TANDEM_TLS_KEY_FILE: join(folder, "assistant", "key.pem"),
      TANDEM_TLS_AUTHORITY_FILE: join(folder, "assistant", "authority.pem"),
      TANDEM_ALLOW_PLAINTEXT: "",
      TANDEM_PLAINTEXT_CALLER: "",
    });
    await assistant.process.waitForLine('"msg":"serving"');
    const address = await assistant.dbProxyAddress();
    const connect = (): DbProxy =>
      createDbProxy({
        address,
        tls: {
          certificateFile: join(folder, "gateway", "certificate.pem"),
          keyFile: join(folder, "gateway", "key.pem"),
          authorityFile: join(folder, "gateway", "authority.pem"),
          peer: "assistant",
        },
        // What goes wrong is to be seen.
        retryLimits: { maxRetries: 0 },
      });
    const load = startLoad(connect);
    for (let swap = 0; swap < swaps; swap += 1) {
      await delay(SWAP_MS);
      await identities.swap();
    }
    const { calls, connections, failures } = await load.end();
    process.stderr.write(
      `chaos: ${calls} calls over ${connections} connections during ${swaps} swaps, ${failures.length} failed\n`,
    );
    expect(failures).toEqual([]);
    expect(connections).toBeGreaterThan(swaps);
    const reread = assistant.log().filter(({ msg }) => msg === "the certificates were read again");
    // Two listeners; a poll may pass over a swap when the machine is busy.
    expect(reread.length).toBeGreaterThan(swaps);
    const [found] = await runSql(pair.assistant.url, "SELECT count(*)::int AS count FROM contacts");
    expect(found).toEqual({ count: calls });
  },
  60_000 + swaps * SWAP_MS * 2,
);

/**
 * Certificates that change at once, as those of a mounted secret do: by a link to a folder. Every sixth swap begins
 * with another authority: trusted first, then used, and at last alone.
 */
async function createSwappedIdentities(): Promise<{ swap(): Promise<void> }> {
  let made = 0;
  let old = await createDevelopmentAuthority();
  let next = old;
  const swap = async (): Promise<void> => {
    const turn = made % 6;
    if (turn === 1) next = await createDevelopmentAuthority();
    const issuer = turn >= 3 ? next : old;
    if (turn === 5) old = next;
    made += 1;
    for (const name of ["assistant", "gateway"]) {
      const version = join(folder, `${name}-${made}`);
      await writeCertificateFiles(version, await issuer.issue(name), [old, next]);
      symlinkSync(version, join(folder, `${name}.next`));
      // At once for this process, too: nothing here reads meanwhile.
      renameSync(join(folder, `${name}.next`), join(folder, name));
    }
  };
  await swap();
  return { swap };
}

interface Load {
  end(): Promise<{
    readonly calls: number;
    readonly connections: number;
    readonly failures: readonly unknown[];
  }>;
}

/** One connection that stays, and others that come and go. */
function startLoad(connect: () => DbProxy): Load {
  const failures: unknown[] = [];
  const state = { running: true };
  let calls = 0;
  let connections = 1;
  const write = async (db: DbProxy): Promise<void> => {
    try {
      await db.transaction([sql`INSERT INTO contacts (id, display_name) VALUES (${randomUUID()}, ${"Ada"})`]);
      calls += 1;
    } catch (error) {
      failures.push(error);
    }
  };
  const staying = connect();
  const caller = async (fresh: boolean): Promise<void> => {
    while (state.running) {
      const db = fresh ? connect() : staying;
      if (fresh) connections += 1;
      for (let call = 0; call < CALLS_PER_CONNECTION; call += 1) await write(db);
      if (fresh) db.close();
    }
  };
  const callers = Array.from({ length: CALLERS }, (_, index) => caller(index > 0));
  return {
    end: async () => {
      state.running = false;
      await Promise.all(callers);
      staying.close();
      return { calls, connections, failures };
    },
  };
}
