import { runSql, waitFor } from "@tandem/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  contentsOf,
  createRelayedPair,
  type RelayedPair,
  settledOn,
  type Sides,
  takesWrite,
} from "../testing/relayed-pair.ts";
import type { MirrorSide } from "./mirror-side.ts";

let pair: RelayedPair;
beforeAll(async () => {
  pair = await createRelayedPair("faults_test");
});
beforeEach(() => pair.reset());
afterAll(() => pair[Symbol.asyncDispose]());

it("many that move it at once leave one side deciding, and lose nothing", async () => {
  await using load = pair.startWriters(2);
  for (let round = 0; round < 5; round += 1) {
    const { authority, epoch } = await pair.sides[0].authority();
    const others = authority === "east" ? "west" : "east";
    // Two of them to the other side, one of which has no patience, and one that calls it all off.
    await Promise.allSettled([
      pair.move(others, epoch),
      pair.move(others, epoch, pair.sides, 1),
      pair.move(authority, epoch),
    ]);
    // Whatever was left half-way is finished by the next call.
    const [one, other] = await pair.authorities();
    const deciding = [one, other].filter(
      (row, at) => row?.authority === pair.sides[at]?.name && row?.phase === "settled",
    );
    expect(deciding.length).toBeLessThan(2);
    const target = others;
    await waitFor(
      async () =>
        pair
          .move(target, (await pair.sides[authority === "east" ? 0 : 1].authority()).epoch)
          .then(() => true),
      {
        describe: "the move to be finished",
      },
    );
  }
  await load.stop();
  await waitFor(
    async () =>
      (await Promise.all(pair.sides.map((side) => side.backlog()))).every(({ pending }) => pending === 0),
    {
      describe: "the mirror",
    },
  );
  expect(await contentsOf(pair.west)).toEqual(await contentsOf(pair.east));
  expect(await contentsOf(pair.east)).toHaveLength(load.written.length);
});

it("begins no move again that another one calls off: never do both take writes, and nothing is left behind", async () => {
  const [east, west] = pair.sides;
  const [begun, looked, callingOff] = [pause(), pause(), pause()];
  const written: (readonly boolean[])[] = [];
  // The caller of the first one leaves when both sides know of it, and its word to the east takes long to get there.
  const left = new AbortController();
  let knows = false;
  const first = pair
    .move("west", 1n, [
      {
        ...east,
        beginMove: async (...step) => {
          const known = await east.beginMove(...step);
          knows = true;
          return known;
        },
        backlog: async () => {
          if (knows) await begun.wait();
          left.signal.throwIfAborted();
          return east.backlog();
        },
        callOffMove: async (...step) => {
          await callingOff.wait();
          return east.callOffMove(...step);
        },
      },
      west,
    ])
    .catch((error: unknown) => error);
  await begun.reached;
  // The second one has looked at both by then. The first one's word comes when it is about to end its own.
  const second = pair
    .move("west", 1n, [
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
          written.push(await Promise.all([takesWrite(pair.east), takesWrite(pair.west)]));
          return ended;
        },
      },
    ])
    .catch((error: unknown) => error);
  await looked.reached;
  left.abort();
  begun.goOn();
  await callingOff.reached;
  looked.goOn();
  await second;
  callingOff.goOn();
  await first;
  written.push(await Promise.all([takesWrite(pair.east), takesWrite(pair.west)]));
  expect(written).not.toContainEqual([true, true]);
  expect(written.at(-1)).toContain(true);
  await waitFor(
    async () =>
      (await Promise.all(pair.sides.map((side) => side.backlog()))).every(({ pending }) => pending === 0),
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

it("calls off no move that another one goes on to end, whatever was seen of the two before", async () => {
  const [east, west] = pair.sides;
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
  const first = pair.move("west", 1n, [east, waiting]);
  await ending.promise;
  // It has looked at the west before the first one began there, and at the east behind it.
  let looks = 0;
  const late: MirrorSide = {
    ...west,
    authority: () => ((looks += 1) > 3 ? west.authority() : Promise.resolve(before)),
  };
  const second = pair.move("west", 1n, [east, late]);
  await Promise.allSettled([second]);
  // Where the second has given its writers back to the east, the first must not take them away with what they wrote.
  const written = await takesWrite(pair.east);
  goOn.resolve();
  await Promise.allSettled([first]);
  expect(await pair.sides[1].authority()).toMatchObject({ authority: written ? "east" : "west" });
});

it("tells a side that was restored as it was before who decides, and goes on from there", async () => {
  for (const [to, epoch] of [
    ["west", 1n],
    ["east", 2n],
    ["west", 3n],
  ] as const) {
    await pair.move(to, epoch);
  }
  await runSql(pair.east.ownerUrl, "UPDATE tandem.authority SET authority = 'east', epoch = 1");
  expect(await pair.move("east", 4n)).toMatchObject({ authority: "east", epoch: 5n });
  expect(await pair.authorities()).toEqual(settledOn("east", 5n));
  await runSql(pair.east.ownerUrl, "UPDATE tandem.authority SET authority = 'west', epoch = 4");
  expect(await pair.move("east", 5n)).toMatchObject({ authority: "east", epoch: 5n });
  expect(await pair.authorities()).toEqual(settledOn("east", 5n));
});

describe("killed at any step", () => {
  const steps = ["beginMove", "beginMove", "endMove", "endMove"] as const;

  /** The two sides as a process sees them that dies before, or behind, its call with this number. */
  function dyingAt(call: number, when: "before" | "behind"): Sides {
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
    return [dying(pair.sides[0]), dying(pair.sides[1])];
  }

  it.each(
    steps.flatMap((name, index) =>
      (["before", "behind"] as const).map((when) => [when, index + 1, name] as const),
    ),
  )("%s change %d (%s), it is finished by the same call", async (when, call) => {
    await runSql(pair.east.url, "INSERT INTO notes (id, title) VALUES (gen_random_uuid(), 'n')");
    await expect(pair.move("west", 1n, dyingAt(call, when))).rejects.toThrow("killed");
    expect(await pair.move("west", 1n)).toMatchObject({ authority: "west", epoch: 2n });
    expect(await pair.authorities()).toEqual(settledOn("west", 2n));
    expect(await contentsOf(pair.west)).toEqual(await contentsOf(pair.east));
  });

  it("the other way is open as well, once the old side has been told that it decides no more", async () => {
    await expect(pair.move("west", 1n, dyingAt(4, "before"))).rejects.toThrow("killed");
    expect(await pair.move("east", 2n)).toMatchObject({ authority: "east", epoch: 3n });
    expect(await pair.authorities()).toEqual(settledOn("east", 3n));
  });

  it("it can be called off as well, as long as the other side doesn't decide", async () => {
    await expect(pair.move("west", 1n, dyingAt(2, "behind"))).rejects.toThrow("killed");
    expect(await pair.move("east", 1n)).toMatchObject({ authority: "east", epoch: 1n });
    expect(await pair.authorities()).toEqual(settledOn("east", 1n));
    await runSql(pair.east.url, "INSERT INTO notes (id, title) VALUES (gen_random_uuid(), 'n')");
  });
});
