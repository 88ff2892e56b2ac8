import { Phase } from "@tandem/contract/tandem/gateway/v1/cutover";
import { createDatabase } from "@tandem/postgres";
import { runSql, waitFor } from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { authorityOf, createCutoverRig, type CutoverRig, type Side } from "./cutover-rig.ts";
import { startLoad } from "./load.ts";

let rig: CutoverRig;
beforeAll(async () => {
  rig = await createCutoverRig();
});
afterAll(() => rig[Symbol.asyncDispose]());

const otherOf = { assistant: "gateway", gateway: "assistant" } as const;

// Where it waits when it is killed: a side's word on who decides is locked, and it is about to change that. It is led there
// from lock to lock.
const places = [
  ["before it begins", ["into"], "settled", "settled"],
  ["when one side knows of it", ["from"], "settled", "draining"],
  ["when both know of it", ["from", "into"], "draining", "draining"],
  ["when it has ended on one side", ["from", "into", "from"], "draining", "settled"],
] as const;

it.each((["gateway", "assistant"] as const).flatMap((to) => places.map((place) => [to, ...place] as const)))(
  "killed on the way to the %s, %s, the same call finishes it and nothing is lost",
  { timeout: 60_000 },
  async (to, _, locks, fromPhase, intoPhase) => {
    const from = otherOf[to];
    await rig.letDecide(from);
    const dying = await rig.startGateway();
    await using load = startLoad(rig, 20);
    const { epoch } = await rig.cutover.getAuthority({});
    const request = { authority: authorityOf[to], expectedEpoch: epoch };
    const sides = locks.map((place) => (place === "into" ? to : from));
    await using held = new AsyncDisposableStack();
    let lock = held.use(await lockWord(sides[0] ?? to));
    const killed = dying.cutover.setAuthority(request).catch((error: unknown) => error);
    for (const next of [...sides.slice(1), undefined]) {
      await waitFor(() => lock.isAwaited(), { describe: "the move to come to the lock", timeoutMs: 30_000 });
      if (next === undefined) break;
      const before = lock;
      lock = held.use(await lockWord(next));
      await before.release();
    }
    expect([await phaseOf(from), await phaseOf(to)]).toEqual([fromPhase, intoPhase]);
    const hasEnded = intoPhase === "settled" && fromPhase === "draining";
    expect(await rig.cutover.getAuthority({})).toMatchObject({
      authority: authorityOf[hasEnded ? to : from],
      phase: fromPhase === "settled" && intoPhase === "settled" ? Phase.SETTLED : Phase.DRAINING,
      epoch: hasEnded ? epoch + 1n : epoch,
    });
    dying.service.process.kill("SIGKILL");
    expect(await killed).toBeInstanceOf(Error);
    await held.disposeAsync();
    await waitFor(async () => (await rig.cutover.setAuthority(request)).authority === authorityOf[to], {
      describe: "the same call to finish it",
      timeoutMs: 30_000,
    });
    await load.stop();
    await rig.expectEqual();
    expect(await phaseOf(to)).toBe("settled");
  },
);

async function phaseOf(side: Side): Promise<unknown> {
  const [row] = await runSql(rig.pair[side].url, "SELECT phase FROM tandem.authority");
  return row?.["phase"];
}

/** Keeps the row of a side as it is, until it is released. */
async function lockWord(side: Side) {
  const { url } = rig.pair[side];
  const database = createDatabase({ url, applicationName: "test-lock", poolSize: 1 });
  const locked = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const holding = database.transaction(async ({ sql }) => {
    await sql`SELECT FROM tandem.authority FOR UPDATE`;
    locked.resolve();
    await released.promise;
  });
  await Promise.race([locked.promise, holding]);
  const release = async (): Promise<void> => {
    released.resolve();
    await holding;
    await database.close();
  };
  return {
    isAwaited: async () => {
      const waiting = await runSql(
        url,
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%.%_move(%'",
      );
      return waiting.length > 0;
    },
    release,
    [Symbol.asyncDispose]: release,
  };
}
