import { createLogger, HandlerError } from "@tandem/rpc";
import { runSql, waitFor } from "@tandem/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createMirroredPair, type MirroredPair, type MirroredSide } from "../testing/mirrored-pair.ts";
import { type Applied, applyMirrored } from "./apply-mirrored.ts";
import { createDatabaseSide, type MirrorSide } from "./mirror-side.ts";
import { moveAuthority, type Moved } from "./move-authority.ts";
import { createOutbox } from "./outbox.ts";
import { startRelay } from "./relay.ts";

let pair: MirroredPair;
let sides: readonly [MirrorSide, MirrorSide];
let relays: AsyncDisposableStack;
beforeAll(async () => {
  pair = await createMirroredPair("move_test");
  sides = [createDatabaseSide("east", pair.east.database), createDatabaseSide("west", pair.west.database)];
  relays = new AsyncDisposableStack();
  for (const [from, to] of [sides, sides.toReversed()] as [MirrorSide, MirrorSide][]) {
    const { database } = from.name === "east" ? pair.east : pair.west;
    relays.use(
      startRelay({
        outbox: createOutbox(database),
        aggregates: ["note", "tag"].map((name) => ({
          name,
          deliver: async (items) => failuresOf(await applyMirrored(sideNamed(to.name).database, name, items)),
        })),
        logger: createLogger({ service: "test", level: "fatal" }),
        limits: { pollIntervalMs: 5, minRetryMs: 5 },
      }),
    );
  }
});
beforeEach(async () => {
  for (const side of [pair.east, pair.west]) {
    await side.clear();
    await runSql(
      side.ownerUrl,
      `UPDATE tandem.authority SET authority = 'east', epoch = 1, phase = 'settled', move = NULL, called_off = '{}'`,
    );
  }
});
afterAll(async () => {
  await relays.disposeAsync();
  await pair[Symbol.asyncDispose]();
});

const move = (to: string, expectedEpoch: bigint, through = sides, drainTimeoutMs = 5_000): Promise<Moved> =>
  moveAuthority({
    sides: through,
    to,
    expectedEpoch,
    drainTimeoutMs,
    aggregates: ["note", "tag"],
    signal: new AbortController().signal,
  });

const sideNamed = (name: string): MirroredSide => (name === "east" ? pair.east : pair.west);

const contents = ({ url }: MirroredSide) =>
  runSql(url, "SELECT to_jsonb(n) AS row FROM notes n ORDER BY n.id");

const authorities = async () =>
  Promise.all(
    sides.map(async (side) => {
      const { authority, phase, epoch } = await side.authority();
      return { authority, phase, epoch };
    }),
  );

const settledOn = (authority: string, epoch: bigint) => {
  const row = { authority, phase: "settled", epoch };
  return [row, row];
};

/** Writes to whichever side takes it, until it is stopped; says what was taken, and how long the longest write took. */
function startWriters(count: number) {
  const stopped = new AbortController();
  const written: string[] = [];
  let longestMs = 0;
  const writers = Array.from({ length: count }, async () => {
    while (!stopped.signal.aborted) {
      const began = performance.now();
      const { database } = sideNamed((await sides[0].authority()).authority);
      try {
        const id = crypto.randomUUID();
        await database.sql`INSERT INTO notes (id, title) VALUES (${id}, 'w')`;
        written.push(id);
        longestMs = Math.max(longestMs, performance.now() - began);
      } catch (error) {
        expect(error).toMatchObject({ code: "TD001" });
      }
    }
  });
  const stop = async (): Promise<number> => {
    stopped.abort();
    await Promise.all(writers);
    return longestMs;
  };
  return { written, stop, [Symbol.asyncDispose]: async () => void (await stop()) };
}

it("moves to and fro under load: nothing is lost, doubled or written on both sides", async () => {
  await using load = startWriters(4);
  for (let round = 0; round < 6; round += 1) {
    const enough = load.written.length + 20;
    await waitFor(() => load.written.length > enough, { describe: "writes" });
    const to = round % 2 === 0 ? "west" : "east";
    const moved = await move(to, BigInt(round) + 1n);
    expect(moved).toMatchObject({ authority: to, epoch: BigInt(round) + 2n });
    expect(moved.heldMs).toBeLessThan(1_000);
  }
  await load.stop();
  await waitFor(async () => (await sides[0].backlog()).pending === 0, { describe: "the mirror" });
  expect(await contents(pair.west)).toEqual(await contents(pair.east));
  const ids = (await contents(pair.east)).map(({ row }) => (row as { id: string }).id);
  expect(ids).toEqual(load.written.toSorted());
});

it("does nothing where it decides already, and refuses another epoch than the caller has seen", async () => {
  expect(await move("east", 1n)).toEqual({ authority: "east", epoch: 1n, heldMs: 0 });
  await expect(move("west", 7n)).rejects.toMatchObject({ reason: "STALE_VERSION" });
  expect(await authorities()).toEqual(settledOn("east", 1n));
});

it("goes back, and says why, where the mirror can't be brought up to date in time", async () => {
  await runSql(pair.east.ownerUrl, "INSERT INTO notes (id, title) VALUES (gen_random_uuid(), 'n')");
  const stuck = "UPDATE tandem.outbox SET refusal = 'no', due_at = 'infinity'";
  await waitFor(async () => (await contents(pair.west)).length === 1, { describe: "the mirror" });
  await runSql(
    pair.east.ownerUrl,
    `INSERT INTO tandem.outbox (aggregate, id, version) SELECT 'note', id, version FROM notes; ${stuck}`,
  );
  const refused = move("west", 1n, sides, 50);
  await expect(refused).rejects.toMatchObject({ reason: "NOT_READY", retryable: true });
  await expect(refused).rejects.toThrow("The mirror lacks 1 rows, of which 1 are parked");
  expect(await authorities()).toEqual(settledOn("east", 1n));
});

it("says so where rows are left behind on the old side, which nothing brings any more", async () => {
  const [east, west] = sides;
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
  const moving = move("west", 1n, [left, west]);
  await expect(moving).rejects.toMatchObject({ reason: "GUARD_UNMET" });
  await expect(moving).rejects.toThrow("The west decides now (epoch 2), and the east has 1 rows");
});

it("holds nobody up where the two differ, and says where", async () => {
  await runSql(
    pair.west.ownerUrl,
    "SET ROLE move_test_west_mirror; INSERT INTO notes VALUES (gen_random_uuid(), 1, '2020-01-01', 'o')",
  );
  await expect(move("west", 1n)).rejects.toThrow(/The two databases differ: note .* is orphan/);
  expect(await authorities()).toEqual(settledOn("east", 1n));
});

it("compares what was on its way for long when it has come", async () => {
  await runSql(pair.east.url, "INSERT INTO notes (id, title) VALUES (gen_random_uuid(), 'old')");
  await waitFor(async () => (await sides[0].backlog()).pending === 0, { describe: "the mirror" });
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
    ...sides[0],
    pending: (_, ids) => Promise.resolve(new Set(ids)),
    backlog: async () => backlogs.pop() ?? sides[0].backlog(),
  };
  await expect(move("west", 1n, [behind, sides[1]])).rejects.toThrow(
    /The two databases differ: note .* differs/,
  );
  expect(await authorities()).toEqual(settledOn("east", 1n));
});

it("waits for writes under way, without keeping others waiting behind them for long", async () => {
  const begun = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const long = pair.east.database.transaction(async ({ sql }) => {
    await sql`INSERT INTO notes (id, title) VALUES (gen_random_uuid(), 'long')`;
    begun.resolve();
    await goOn.promise;
  });
  await begun.promise;
  const moving = move("west", 1n);
  await using load = startWriters(2);
  await waitFor(() => load.written.length > 50, { describe: "writes meanwhile" });
  goOn.resolve();
  await long;
  await moving;
  expect(await load.stop()).toBeLessThan(1_000);
  expect(await authorities()).toEqual(settledOn("west", 2n));
});

it("many that move it at once leave one side deciding, and lose nothing", async () => {
  await using load = startWriters(2);
  for (let round = 0; round < 5; round += 1) {
    const { authority, epoch } = await sides[0].authority();
    const others = authority === "east" ? "west" : "east";
    // Two of them to the other side, one of which has no patience, and one that calls it all off.
    await Promise.allSettled([move(others, epoch), move(others, epoch, sides, 1), move(authority, epoch)]);
    // Whatever was left half-way is finished by the next call.
    const [one, other] = await authorities();
    const deciding = [one, other].filter(
      (row, at) => row?.authority === sides[at]?.name && row?.phase === "settled",
    );
    expect(deciding.length).toBeLessThan(2);
    const target = others;
    await waitFor(async () => move(target, (await sideOf(authority).authority()).epoch).then(() => true), {
      describe: "the move to be finished",
    });
  }
  await load.stop();
  await waitFor(
    async () =>
      (await Promise.all(sides.map((side) => side.backlog()))).every(({ pending }) => pending === 0),
    {
      describe: "the mirror",
    },
  );
  expect(await contents(pair.west)).toEqual(await contents(pair.east));
  expect(await contents(pair.east)).toHaveLength(load.written.length);
});

const sideOf = (name: string): MirrorSide => (name === "east" ? sides[0] : sides[1]);

it("begins no move again that another one calls off: never do both take writes, and nothing is left behind", async () => {
  const [east, west] = sides;
  const [begun, looked, callingOff] = [pause(), pause(), pause()];
  const written: (readonly boolean[])[] = [];
  // The caller of the first one leaves when both sides know of it, and its word to the east takes long to get there.
  const left = new AbortController();
  const first = move("west", 1n, [
    {
      ...east,
      backlog: async () => {
        await begun.wait();
        left.signal.throwIfAborted();
        return east.backlog();
      },
      callOffMove: async (...step) => {
        await callingOff.wait();
        return east.callOffMove(...step);
      },
    },
    west,
  ]).catch((error: unknown) => error);
  await begun.reached;
  // The second one has looked at both by then. The first one's word comes when it is about to end its own.
  const second = move("west", 1n, [
    east,
    {
      ...west,
      beginMove: async (...step) => {
        await looked.wait();
        return west.beginMove(...step);
      },
      callOffMove: async (...step) => {
        await looked.wait();
        return west.callOffMove(...step);
      },
      endMove: async (...step) => {
        callingOff.goOn();
        await first;
        const ended = await west.endMove(...step);
        written.push(await Promise.all([write(pair.east), write(pair.west)]));
        return ended;
      },
    },
  ]).catch((error: unknown) => error);
  await looked.reached;
  left.abort();
  begun.goOn();
  await callingOff.reached;
  looked.goOn();
  await second;
  callingOff.goOn();
  await first;
  written.push(await Promise.all([write(pair.east), write(pair.west)]));
  expect(written).not.toContainEqual([true, true]);
  expect(written.at(-1)).toContain(true);
  await waitFor(
    async () =>
      (await Promise.all(sides.map((side) => side.backlog()))).every(({ pending }) => pending === 0),
    {
      describe: "nothing to be left",
    },
  );
});

/** A place where somebody waits until he is let go. */
function pause() {
  const [reached, going] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const wait = (): Promise<void> => {
    reached.resolve();
    return going.promise;
  };
  return { reached: reached.promise, goOn: () => going.resolve(), wait };
}

/** Whether a side takes a write. */
const write = ({ url }: MirroredSide): Promise<boolean> =>
  runSql(url, "INSERT INTO notes (id, title) VALUES (gen_random_uuid(), 'n')").then(
    () => true,
    () => false,
  );

it("calls off no move that another one goes on to end, whatever was seen of the two before", async () => {
  const [east, west] = sides;
  const before = await west.authority();
  const ending = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const waiting: MirrorSide = {
    ...west,
    endMove: async (...step) => {
      ending.resolve();
      await goOn.promise;
      return west.endMove(...step);
    },
  };
  const first = move("west", 1n, [east, waiting]);
  await ending.promise;
  // It has looked at the west before the first one began there, and at the east behind it.
  let looks = 0;
  const late: MirrorSide = {
    ...west,
    authority: () => ((looks += 1) > 3 ? west.authority() : Promise.resolve(before)),
  };
  const second = move("west", 1n, [east, late]);
  await Promise.allSettled([second]);
  // Where the second has given its writers back to the east, the first must not take them away with what they wrote.
  const written = await write(pair.east);
  goOn.resolve();
  await Promise.allSettled([first]);
  expect(await sides[1].authority()).toMatchObject({ authority: written ? "east" : "west" });
});

it("tells a side that was restored as it was before who decides, and goes on from there", async () => {
  for (const [to, epoch] of [
    ["west", 1n],
    ["east", 2n],
    ["west", 3n],
  ] as const) {
    await move(to, epoch);
  }
  await runSql(pair.east.ownerUrl, "UPDATE tandem.authority SET authority = 'east', epoch = 1");
  expect(await move("east", 4n)).toMatchObject({ authority: "east", epoch: 5n });
  expect(await authorities()).toEqual(settledOn("east", 5n));
  await runSql(pair.east.ownerUrl, "UPDATE tandem.authority SET authority = 'west', epoch = 4");
  expect(await move("east", 5n)).toMatchObject({ authority: "east", epoch: 5n });
  expect(await authorities()).toEqual(settledOn("east", 5n));
});

describe("killed at any step", () => {
  const steps = ["beginMove", "beginMove", "endMove", "endMove"] as const;

  /** The two sides as a process sees them that dies before, or behind, its call with this number. */
  function dyingAt(call: number, when: "before" | "behind"): readonly [MirrorSide, MirrorSide] {
    let calls = 0;
    const dead = new Error("killed");
    const dying = (side: MirrorSide): MirrorSide => {
      const change =
        <Rest extends readonly unknown[], T>(work: (...rest: Rest) => Promise<T>) =>
        async (...rest: Rest): Promise<T> => {
          calls += 1;
          if (calls > call || (calls === call && when === "before")) throw dead;
          const result = await work(...rest);
          if (calls === call) throw dead;
          return result;
        };
      return {
        ...side,
        beginMove: change((epoch: bigint, by: string) => side.beginMove(epoch, by)),
        endMove: change((epoch: bigint, by: string, to: string) => side.endMove(epoch, by, to)),
        callOffMove: change((epoch: bigint, by: string) => side.callOffMove(epoch, by)),
      };
    };
    return [dying(sides[0]), dying(sides[1])];
  }

  it.each(
    steps.flatMap((name, index) =>
      (["before", "behind"] as const).map((when) => [when, index + 1, name] as const),
    ),
  )("%s change %d (%s), it is finished by the same call", async (when, call) => {
    await runSql(pair.east.url, "INSERT INTO notes (id, title) VALUES (gen_random_uuid(), 'n')");
    await expect(move("west", 1n, dyingAt(call, when))).rejects.toThrow("killed");
    expect(await move("west", 1n)).toMatchObject({ authority: "west", epoch: 2n });
    expect(await authorities()).toEqual(settledOn("west", 2n));
    expect(await contents(pair.west)).toEqual(await contents(pair.east));
  });

  it("the other way is open as well, once the old side has been told that it decides no more", async () => {
    await expect(move("west", 1n, dyingAt(4, "before"))).rejects.toThrow("killed");
    expect(await move("east", 2n)).toMatchObject({ authority: "east", epoch: 3n });
    expect(await authorities()).toEqual(settledOn("east", 3n));
  });

  it("it can be called off as well, as long as the other side doesn't decide", async () => {
    await expect(move("west", 1n, dyingAt(2, "behind"))).rejects.toThrow("killed");
    expect(await move("east", 1n)).toMatchObject({ authority: "east", epoch: 1n });
    expect(await authorities()).toEqual(settledOn("east", 1n));
    await runSql(pair.east.url, "INSERT INTO notes (id, title) VALUES (gen_random_uuid(), 'n')");
  });
});

const failuresOf = (results: readonly (Applied | HandlerError)[]): (Error | undefined)[] =>
  results.map((result) => (result instanceof HandlerError ? result : undefined));
