import { hashToken } from "@tandem/rpc";
import { createProcesses, type PeakMemory, replaceFile, waitFor, watchPeakMemory } from "@tandem/testkit";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { BystanderCall } from "./bystander-thread.ts";
import { createProxyFixture } from "./proxy-fixture.ts";

const TOKENS = { gateway: "the-token-of-the-gateway", bystander: "the-token-of-a-bystander" };

/** DbProxy in a process of its own, and a bystander who calls it all the time. */
export interface GuardedProxy extends AsyncDisposable {
  readonly address: string;
  /** What a caller shows who is let in, and who isn't the bystander. */
  readonly authorization: string;
  /**
   * What happens while the work is done: how much memory the process took beside what it held before, where the
   * kernel says so, and what the bystander saw, right before it and meanwhile.
   */
  watch(work: () => Promise<unknown>): Promise<Seen>;
}

export interface Seen {
  /** Undefined on anything but Linux. */
  readonly grownBytes: number | undefined;
  readonly calls: readonly BystanderCall[];
  readonly callsBefore: readonly BystanderCall[];
}

const QUIET_MS = 100;

export async function startGuardedProxy(): Promise<GuardedProxy> {
  await using parts = new AsyncDisposableStack();
  const fixture = parts.use(await createProxyFixture());
  const folder = await mkdtemp(join(tmpdir(), "tandem-hostile-"));
  parts.defer(() => rm(folder, { recursive: true }));
  const tokensFile = join(folder, "tokens.jsonl");
  const lines = Object.entries(TOKENS).map(([name, token]) =>
    JSON.stringify({ name, sha256: hashToken(token) }),
  );
  await replaceFile(tokensFile, `${lines.join("\n")}\n`);
  const processes = createProcesses();
  parts.defer(() => processes.end());
  const file = fileURLToPath(new URL("guarded-proxy-process.ts", import.meta.url));
  const proxy = await processes.spawn({ args: ["--expose-gc", file, fixture.roleUrl, tokensFile] });
  const address = (await proxy.waitForLine("listening")).split(" ")[1] ?? "";
  const memory = await watchPeakMemory(proxy.pid);
  const bystander = new Worker(new URL("bystander-thread.ts", import.meta.url), {
    workerData: { address, token: TOKENS.bystander },
  });
  parts.defer(async () => {
    bystander.postMessage("end", []);
    await once(bystander, "exit");
  });
  await once(bystander, "message");
  const takeCalls = async (): Promise<readonly BystanderCall[]> => {
    bystander.postMessage("take", []);
    const [calls] = (await once(bystander, "message")) as [readonly BystanderCall[]];
    return calls;
  };
  const collected = (): number => proxy.lines("stdout").filter((line) => line === "collected").length;
  const collect = async (): Promise<void> => {
    const before = collected();
    proxy.kill("SIGUSR2");
    await waitFor(() => collected() > before, { describe: "the garbage to be collected" });
  };
  const running = parts.move();
  return {
    address,
    authorization: `Bearer ${TOKENS.gateway}`,
    watch: async (work) => {
      await collect();
      // The bystander has noticed the collection.
      await delay(QUIET_MS);
      await takeCalls();
      await delay(QUIET_MS);
      const callsBefore = await takeCalls();
      const before = await memory?.reset();
      await work();
      return { grownBytes: await grownSince(memory, before), calls: await takeCalls(), callsBefore };
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

async function grownSince(
  memory: PeakMemory | undefined,
  before: number | undefined,
): Promise<number | undefined> {
  return memory === undefined || before === undefined ? undefined : (await memory.peak()) - before;
}
