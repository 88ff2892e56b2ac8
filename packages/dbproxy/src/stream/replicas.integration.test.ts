import { trackLeaks, waitFor } from "@tandem/testkit";
import { afterAll, describe, expect, it } from "vitest";
import { createDbProxy, type DbProxyOptions } from "../create-db-proxy.ts";
import { sql } from "../sql.ts";
import type { RecordingOwnerOptions } from "../testing/recording-owner.ts";
import { startRelayedOwner } from "../testing/relayed-owner.ts";

const leaks = trackLeaks();
afterAll(() => leaks.expectNoLeaks());

const limits = { minReconnectMs: 10, maxReconnectMs: 50 };

/** Two instances of an owner, and one client of both. */
async function startReplicas(
  options: Pick<DbProxyOptions, "streams" | "retryLimits"> = {},
  ofFirst: RecordingOwnerOptions = {},
) {
  await using parts = new AsyncDisposableStack();
  const first = parts.use(await startRelayedOwner(ofFirst));
  const second = parts.use(await startRelayedOwner());
  const db = createDbProxy({
    ...options,
    address: [first.relay.address, second.relay.address],
    limits,
  });
  parts.defer(() => db.close());
  const moved = parts.move();
  return { first, second, db, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

type Replicas = Awaited<ReturnType<typeof startReplicas>>;

const countOf = ({ first, second }: Replicas): readonly number[] => [
  first.transactions.length,
  second.transactions.length,
];

const transact = ({ db }: Replicas): Promise<unknown> => db.transaction([sql`SELECT 1`]);

/** Calls until both have answered over a stream. */
async function reachBoth(replicas: Replicas): Promise<void> {
  await waitFor(async () => (await transact(replicas)) && Math.min(...countOf(replicas)) > 0, {
    describe: "both to be reached",
    pollMs: 1,
  });
}

/** Calls from eight lanes until it is told to stop; gives how many calls there were. */
function startLoad(replicas: Replicas) {
  let calls = 0;
  const stopped = new AbortController();
  const lanes = Array.from({ length: 8 }, async () => {
    while (!stopped.signal.aborted) {
      await transact(replicas);
      calls += 1;
    }
  });
  return {
    more: async (count: number): Promise<void> => {
      const enough = calls + count;
      await waitFor(() => calls >= enough, { describe: `${count} more calls` });
    },
    end: async (): Promise<void> => {
      stopped.abort();
      await Promise.all(lanes);
    },
  };
}

describe("transactions", () => {
  it("are spread over all instances, with one stream to each", async () => {
    await using replicas = await startReplicas();
    await reachBoth(replicas);
    const before = countOf(replicas);
    for (let round = 0; round < 50; round += 1) await Promise.all([transact(replicas), transact(replicas)]);
    const [first = 0, second = 0] = countOf(replicas).map((count, index) => count - (before[index] ?? 0));
    expect(first + second).toBe(100);
    expect(Math.min(first, second)).toBeGreaterThan(40);
    for (const owner of [replicas.first, replicas.second]) {
      await waitFor(() => owner.openStreams() === 1, { describe: "the stream that wasn't needed to end" });
    }
  });

  it("take turns also where one is made after the other", async () => {
    await using replicas = await startReplicas();
    await reachBoth(replicas);
    await waitFor(() => replicas.first.openStreams() + replicas.second.openStreams() === 2, {
      describe: "one stream each",
    });
    const before = countOf(replicas);
    for (let call = 0; call < 20; call += 1) await transact(replicas);
    expect(countOf(replicas).map((count, index) => count - (before[index] ?? 0))).toEqual([10, 10]);
  });

  it("keep away from an instance that doesn't answer", async () => {
    let hangs = false;
    const released = Promise.withResolvers<void>();
    const transaction = async () => {
      if (hangs) await released.promise;
      return { results: [{ changes: 1n }] };
    };
    await using replicas = await startReplicas({}, { handlers: { transaction } });
    await reachBoth(replicas);
    hangs = true;
    const before = replicas.first.transactions.length;
    const calls: Promise<unknown>[] = [];
    for (let count = 0; count < 50; count += 1) {
      const hung = replicas.first.transactions.length;
      let answered = false;
      calls.push(transact(replicas).then(() => (answered = true)));
      await waitFor(() => answered || replicas.first.transactions.length > hung, {
        describe: "the call to be answered, or to hang",
        pollMs: 1,
      });
    }
    expect(replicas.first.transactions.length - before).toBeLessThan(5);
    released.resolve();
    await Promise.all(calls);
  });

  it("go over as many streams as the client may have", async () => {
    await using replicas = await startReplicas({ streams: { maxStreams: 1 } });
    for (let call = 0; call < 20; call += 1) await transact(replicas);
    expect(countOf(replicas).toSorted()).toEqual([0, 20]);
  });

  it("go on without a failure when an instance is killed, and reach it again when it is back", async () => {
    await using replicas = await startReplicas({ streams: { maxSearchMs: 100 } });
    const { first } = replicas;
    await reachBoth(replicas);
    const load = startLoad(replicas);
    for (let round = 0; round < 3; round += 1) {
      await load.more(200);
      first.relay.refuse();
      first.relay.cut();
      await load.more(200);
      await first.relay.accept();
      const before = first.transactions.length;
      await waitFor(() => first.transactions.length > before, { describe: "the instance to be found again" });
    }
    await load.end();
  });

  it("go on without a failure when an instance drains", async () => {
    await using replicas = await startReplicas();
    await reachBoth(replicas);
    const load = startLoad(replicas);
    await load.more(200);
    await replicas.first.drain();
    const before = replicas.first.transactions.length;
    await load.more(200);
    await load.end();
    expect(replicas.first.transactions).toHaveLength(before);
  });
});
