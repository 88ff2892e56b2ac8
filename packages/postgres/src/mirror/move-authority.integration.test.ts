import { runSql, waitFor } from "@tandem/testkit";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { contentsOf, createRelayedPair, type RelayedPair, settledOn } from "../testing/relayed-pair.ts";
import type { MirrorSide } from "./mirror-side.ts";

let pair: RelayedPair;
beforeAll(async () => {
  pair = await createRelayedPair("move_test");
});
beforeEach(() => pair.reset());
afterAll(() => pair[Symbol.asyncDispose]());

it("moves to and fro under load: nothing is lost, doubled or written on both sides", async () => {
  await using load = pair.startWriters(4);
  for (let round = 0; round < 6; round += 1) {
    const enough = load.written.length + 20;
    await waitFor(() => load.written.length > enough, { describe: "writes" });
    const to = round % 2 === 0 ? "west" : "east";
    const moved = await pair.move(to, BigInt(round) + 1n);
    expect(moved).toMatchObject({ authority: to, epoch: BigInt(round) + 2n });
    expect(moved.heldMs).toBeLessThan(1_000);
  }
  await load.stop();
  await waitFor(async () => (await pair.sides[0].backlog()).pending === 0, { describe: "the mirror" });
  expect(await contentsOf(pair.west)).toEqual(await contentsOf(pair.east));
  const ids = (await contentsOf(pair.east)).map(({ row }) => (row as { id: string }).id);
  expect(ids).toEqual(load.written.toSorted());
});

it("does nothing where it decides already, and refuses another epoch than the caller has seen", async () => {
  expect(await pair.move("east", 1n)).toEqual({ authority: "east", epoch: 1n, heldMs: 0 });
  await expect(pair.move("west", 7n)).rejects.toMatchObject({ reason: "STALE_VERSION" });
  expect(await pair.authorities()).toEqual(settledOn("east", 1n));
});

it("goes back, and says why, where the mirror can't be brought up to date in time", async () => {
  await runSql(pair.east.ownerUrl, "INSERT INTO notes (id, title) VALUES (gen_random_uuid(), 'n')");
  const stuck = "UPDATE tandem.outbox SET refusal = 'no', due_at = 'infinity'";
  await waitFor(async () => (await contentsOf(pair.west)).length === 1, { describe: "the mirror" });
  await runSql(
    pair.east.ownerUrl,
    `INSERT INTO tandem.outbox (aggregate, id, version) SELECT 'note', id, version FROM notes; ${stuck}`,
  );
  const refused = pair.move("west", 1n, pair.sides, 50);
  await expect(refused).rejects.toMatchObject({ reason: "NOT_READY", retryable: true });
  await expect(refused).rejects.toThrow("The mirror lacks 1 rows, of which 1 are parked");
  expect(await pair.authorities()).toEqual(settledOn("east", 1n));
});

it("goes back where what changed lately can't be compared within the time for which writes may be held up", async () => {
  const [east, west] = pair.sides;
  const slow: MirrorSide = {
    ...west,
    digests: (aggregate, within) =>
      within.before === "infinity" ? new Promise(() => undefined) : west.digests(aggregate, within),
  };
  const refused = pair.move("west", 1n, [east, slow], 500);
  await expect(refused).rejects.toMatchObject({ reason: "NOT_READY", retryable: true });
  await expect(refused).rejects.toThrow("takes longer than writes may be held up");
  expect(await pair.authorities()).toEqual(settledOn("east", 1n));
});

it("compares everything while writers go on, where another one has left its move half-way, too", async () => {
  await expect(pair.sides[0].beginMove(1n, crypto.randomUUID())).resolves.toMatchObject({
    phase: "draining",
  });
  const compared: string[] = [];
  const [, west] = pair.sides;
  const watched: MirrorSide = {
    ...west,
    digests: async (aggregate, within) => {
      const { phase } = await pair.sides[0].authority();
      compared.push(`${phase} ${within.since === "-infinity" ? "all" : "lately"}`);
      return west.digests(aggregate, within);
    },
  };
  await pair.move("west", 1n, [pair.sides[0], watched]);
  expect(new Set(compared)).toEqual(new Set(["settled all", "draining lately"]));
});

it("says so where rows are left behind on the old side, which nothing brings any more", async () => {
  const [east, west] = pair.sides;
  const left: MirrorSide = {
    ...east,
    endMove: async (...step) => {
      const ended = await east.endMove(...step);
      // As where somebody has turned the triggers off.
      await runSql(
        pair.east.ownerUrl,
        "INSERT INTO tandem.outbox (aggregate, id, version) VALUES ('note', gen_random_uuid(), 1)",
      );
      return ended;
    },
  };
  const moving = pair.move("west", 1n, [left, west]);
  await expect(moving).rejects.toMatchObject({ reason: "GUARD_UNMET" });
  await expect(moving).rejects.toThrow("The west decides now (epoch 2), and the east has 1 rows");
});

it("holds nobody up where the two differ, and says where", async () => {
  await runSql(
    pair.west.ownerUrl,
    "SET ROLE move_test_west_mirror; INSERT INTO notes VALUES (gen_random_uuid(), 1, '2020-01-01', 'o')",
  );
  await expect(pair.move("west", 1n)).rejects.toThrow(/The two databases differ: note .* is orphan/);
  expect(await pair.authorities()).toEqual(settledOn("east", 1n));
});

it("compares what was on its way for long when it has come", async () => {
  await runSql(pair.east.url, "INSERT INTO notes (id, title) VALUES (gen_random_uuid(), 'old')");
  await waitFor(async () => (await pair.sides[0].backlog()).pending === 0, { describe: "the mirror" });
  // As if it had been written an hour ago, and came as something else while the authority moves.
  const anHourAgo = "updated_at = now() - interval '1 hour'";
  await runSql(
    pair.east.ownerUrl,
    `ALTER TABLE notes DISABLE TRIGGER USER; UPDATE notes SET ${anHourAgo}; ALTER TABLE notes ENABLE TRIGGER USER`,
  );
  await runSql(
    pair.west.ownerUrl,
    `SET ROLE move_test_west_mirror; UPDATE notes SET ${anHourAgo}, version = version - 1, title = 'other'`,
  );
  const backlogs = [{ pending: 1, parked: 0, oldestAgeMs: 2 * 60 * 60_000 }];
  const behind: MirrorSide = {
    ...pair.sides[0],
    pending: (_, ids) => Promise.resolve(new Set(ids)),
    backlog: async () => backlogs.pop() ?? pair.sides[0].backlog(),
  };
  await expect(pair.move("west", 1n, [behind, pair.sides[1]])).rejects.toThrow(
    /The two databases differ: note .* differs/,
  );
  expect(await pair.authorities()).toEqual(settledOn("east", 1n));
});

it("waits for writes under way, without keeping others waiting behind them for long", async () => {
  await using load = pair.startWriters(2);
  const long = await startLong();
  const before = await paceOf(load.written);
  let asked = 0;
  const [east, west] = pair.sides;
  const asking: MirrorSide = {
    ...east,
    beginMove: (...step) => {
      asked += 1;
      return east.beginMove(...step);
    },
  };
  const moving = pair.move("west", 1n, [asking, west], 20_000);
  await waitFor(() => asked > 0, { describe: "the move to wait for it" });
  const meanwhile = await paceOf(load.written);
  await long.end();
  await moving;
  expect(asked).toBeGreaterThan(1);
  expect(meanwhile).toBeGreaterThan(before / 4);
  expect(await load.stop()).toBeLessThan(1_000);
  expect(await pair.authorities()).toEqual(settledOn("west", 2n));
});

/** A write to the east whose transaction doesn't end by itself. */
async function startLong() {
  const [begun, ended] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const writing = pair.east.database.transaction(async ({ sql }) => {
    await sql`INSERT INTO notes (id, title) VALUES (gen_random_uuid(), 'long')`;
    begun.resolve();
    await ended.promise;
  });
  await Promise.race([begun.promise, writing]);
  const end = async (): Promise<void> => {
    ended.resolve();
    await writing;
  };
  return { end };
}

/** How many a second are written, over a while. */
async function paceOf(written: readonly string[]): Promise<number> {
  const [count, began] = [written.length, performance.now()];
  await waitFor(() => performance.now() - began > 1_500, { describe: "a while" });
  return ((written.length - count) / (performance.now() - began)) * 1_000;
}
