import { setTimeout as delay } from "node:timers/promises";
import type { Direction, TcpRelay, TriggerCondition } from "@tandem/testkit";
import { createRandom } from "@tandem/testkit/random";
import type { Rig } from "./rig.ts";

export interface FaultOptions {
  readonly rig: Rig;
  /** Determines which faults there are, in which order and for how long. */
  readonly seed: number;
  /** How often each of the two processes is killed. */
  readonly kills: number;
  /** How much of the work is done, from 0 to 1: the kills are spread over it. */
  readonly progress: () => number;
}

/** What was broken how often. */
export type FaultCounts = ReadonlyMap<string, number>;

/** Faults that go on until they are told to stop. */
export interface Faults extends AsyncDisposable {
  /** Whether there are kills to come, or one of them is not over. */
  killing(): boolean;
  /** Breaks nothing any more, and mends every link. Fails where a process could not be killed, or not brought back. */
  stop(): Promise<FaultCounts>;
}

/** Begins to break both links, again and again, and to kill both processes. */
export function startFaults({ rig, seed, kills, progress }: FaultOptions): Faults {
  const counts = new Map<string, number>();
  const count: Count = (fault) => void counts.set(fault, (counts.get(fault) ?? 0) + 1);
  const stopping = new AbortController();
  const { signal } = stopping;
  const links = (["clientLink", "databaseLink"] as const).map((name, index) =>
    breakLink({ name, link: rig[name], random: createRandom(seed + 1 + index), signal, count }),
  );
  let killing = true;
  const killed = kill({ rig, random: createRandom(seed), kills, progress, signal, count }).finally(() => {
    killing = false;
  });
  const all = Promise.allSettled([killed, ...links]);
  return {
    killing: () => killing,
    stop: async () => {
      stopping.abort();
      const failed = (await all).find((each) => each.status === "rejected");
      if (failed !== undefined) throw failed.reason;
      return counts;
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await all;
    },
  };
}

type Count = (fault: string) => void;

async function kill(options: {
  readonly rig: Rig;
  readonly random: () => number;
  readonly kills: number;
  readonly progress: () => number;
  readonly signal: AbortSignal;
  readonly count: Count;
}): Promise<void> {
  const { rig, random, kills, progress, signal, count } = options;
  const left = { "assistant killed": kills, "PostgreSQL crashed": kills };
  for (let done = 0; done < 2 * kills && !signal.aborted; done++) {
    const due = (done + 1) / (2 * kills + 1);
    while (progress() < due && !signal.aborted) await delay(5);
    // So that it doesn't always hit the same moment of a transaction.
    await delay(random() * 300);
    const both = left["assistant killed"] > 0 && left["PostgreSQL crashed"] > 0;
    const assistant = both ? random() < 0.5 : left["assistant killed"] > 0;
    const name = assistant ? "assistant killed" : "PostgreSQL crashed";
    left[name]--;
    count(name);
    await (assistant ? rig.killAssistant() : rig.crashPostgres());
  }
}

async function breakLink(options: {
  readonly name: keyof typeof ofLink;
  readonly link: TcpRelay;
  readonly random: () => number;
  readonly signal: AbortSignal;
  readonly count: Count;
}): Promise<void> {
  const { name, link, random, signal, count } = options;
  const between = (min: number, max: number): number => min + random() * (max - min);
  while (!signal.aborted) {
    await delay(between(50, 400));
    const fault = ofLink[name][Math.floor(random() * ofLink[name].length)] ?? cut;
    count(`${name} ${await fault(link, between)}`);
  }
  link.resume();
  link.delay(0);
  await link.accept();
}

type Fault = (link: TcpRelay, between: (min: number, max: number) => number) => Promise<string>;

const cut: Fault = async (link) => {
  link.cut();
  return "cut";
};

const stall: Fault = async (link, between) => {
  const direction = directionOf(between);
  const ends = between(0, 1);
  link.stall({ direction });
  await delay(between(20, 800));
  // What a link has held back arrives late, or never.
  if (ends < 0.5) link.cut();
  link.resume({ direction });
  return "stalled";
};

const slow: Fault = async (link, between) => {
  link.delay(between(1, 80), { direction: directionOf(between) });
  await delay(between(50, 500));
  link.delay(0);
  return "delayed";
};

const refuse: Fault = async (link, between) => {
  link.refuse();
  link.cut();
  await delay(between(20, 500));
  await link.accept();
  return "refused";
};

/** One connection, in the middle of what it carries. */
const cutWithin: Fault = async (link, between) => {
  const bytes = Math.ceil(between(1, 4_000));
  const condition = { direction: directionOf(between), bytes };
  return (await cutWhen(link, condition)) ? "cut within" : "not cut in time";
};

/** One connection to PostgreSQL, before COMMIT has arrived there or before its answer has come back. */
const cutAtCommit: Fault = async (link, between) => {
  const condition = { direction: directionOf(between), contains: "COMMIT" };
  return (await cutWhen(link, condition)) ? `cut at COMMIT ${condition.direction}` : "not cut in time";
};

async function cutWhen(link: TcpRelay, condition: TriggerCondition): Promise<boolean> {
  const trigger = link.when(condition, (connection) => connection.cut());
  const late = new AbortController();
  const tooLate = delay(300, false, { signal: late.signal }).catch(() => false);
  const fired = await Promise.race([trigger.fired.then(() => true), tooLate]);
  late.abort();
  trigger.cancel();
  return fired;
}

const ofLink = {
  clientLink: [cut, stall, slow, refuse, cutWithin, cutWithin],
  databaseLink: [cut, stall, slow, refuse, cutAtCommit, cutAtCommit, cutAtCommit],
} as const;

function directionOf(between: (min: number, max: number) => number): Direction {
  return between(0, 1) < 0.5 ? "toServer" : "toClient";
}
