import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { DbProxy } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { createDbProxy, type DbProxy as OwnersDatabase, sql } from "@tandem/dbproxy";
import {
  type Channel,
  type Client,
  createChannel,
  createClient,
  HandlerError,
  StatusCode,
} from "@tandem/rpc";
import { expectNoOpenTransactions } from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createPair, type Pair, type Service } from "../pair.ts";
import { readChaosConfig } from "./config.ts";
import { createRandom } from "@tandem/testkit/random";

const { seed, overloadMs } = readChaosConfig();
/** More than there are connections, fewer than may run and wait. */
const CALIBRATING_CALLERS = 20;
const CALIBRATION_MS = 2_000;
/** How long its callers wait: longer than whoever is last in a full queue has to, and less. */
const WAYS = [
  { by: "calls", overload: 1.5, timeoutMs: 1_000 },
  { by: "calls", overload: 1.5, timeoutMs: 300 },
  { by: "streams", overload: 3, timeoutMs: 1_000 },
  { by: "streams", overload: 3, timeoutMs: 300 },
] as const;
type Way = (typeof WAYS)[number];
const MAX_GROWTH_BYTES = 64 * 1024 * 1024;

let pair: Pair;
let assistant: Service;
let channel: Channel;
let client: Client<typeof DbProxy>;
let streaming: OwnersDatabase;
let peak: number;
beforeAll(async () => {
  pair = await createPair();
  assistant = await pair.startAssistant();
  await assistant.serving();
  channel = createChannel({ address: await assistant.dbProxyAddress() });
  client = createClient(DbProxy, channel);
  streaming = createDbProxy({ channel, retryLimits: { maxRetries: 0, maxSettlingMs: 0 } });
  peak = await calibrate();
});
afterAll(async () => {
  streaming.close();
  channel.close();
  await pair[Symbol.asyncDispose]();
});

// Its connections are what the service has too little of: with 10 of them it carries less than 100 of these a second,
// which takes neither it nor this process, which makes the load, more than a part of a processor.
const STATEMENT = "SELECT nap(0.1)";

it.each(WAYS)(
  `carries on at its peak, refuses at once and grows no further under $overload × what it carries, by $by, within $timeoutMs ms (TANDEM_CHAOS_SEED=${seed})`,
  async (way) => {
    const memory = watchMemory(assistant.process.pid);
    const found = await overload(way);
    const grownBytes = memory.end();
    report(way, found, grownBytes);
    expect(found.goodput / peak).toBeGreaterThan(0.8);
    expect(found.refusals.length).toBeGreaterThan(0);
    expect(median(found.refusals)).toBeLessThan(20);
    expect(found.others).toEqual([]);
    expect(grownBytes).toBeLessThan(MAX_GROWTH_BYTES);
    await expectNoOpenTransactions(pair.assistant.url);
  },
  60_000 + overloadMs * 2,
);

interface Found {
  /** What came through in time, in a second. */
  readonly goodput: number;
  /** How long each of the refused callers waited to hear of it. */
  readonly refusals: readonly number[];
  readonly answers: readonly number[];
  readonly late: number;
  readonly others: readonly unknown[];
}

/** Callers that each wait for their answer before they ask again: what comes through then is the peak. */
async function calibrate(): Promise<number> {
  const round = async (durationMs: number): Promise<number> => {
    const ends = performance.now() + durationMs;
    let count = 0;
    const caller = async (): Promise<void> => {
      while (performance.now() < ends) {
        await send({ by: "calls", timeoutMs: CALIBRATION_MS });
        count += 1;
      }
    };
    const started = performance.now();
    await Promise.all(Array.from({ length: CALIBRATING_CALLERS }, caller));
    return (count * 1_000) / (performance.now() - started);
  };
  // Connections are opened, code is compiled.
  await round(CALIBRATION_MS / 2);
  return round(CALIBRATION_MS);
}

/** Callers that come at random, so many in a second, whatever became of those before them. */
async function overload(way: Way): Promise<Found> {
  const perSecond = peak * way.overload;
  const random = createRandom(seed);
  const found = { answers: [] as number[], refusals: [] as number[], late: 0, others: [] as unknown[] };
  const arrive = async (): Promise<void> => {
    const started = performance.now();
    try {
      await send(way);
      found.answers.push(performance.now() - started);
    } catch (error) {
      if (!(error instanceof Error && "code" in error)) throw error;
      if (error instanceof HandlerError && error.reason === "OVERLOADED")
        found.refusals.push(performance.now() - started);
      else if (error.code === StatusCode.DEADLINE_EXCEEDED) found.late += 1;
      else found.others.push(error);
    }
  };
  const calls: Promise<void>[] = [];
  const started = performance.now();
  for (let due = started; due < started + overloadMs; due += (-Math.log(1 - random()) * 1_000) / perSecond) {
    const early = due - performance.now();
    if (early > 1) await delay(early);
    calls.push(arrive());
  }
  await Promise.all(calls);
  return { ...found, goodput: (found.answers.length * 1_000) / (performance.now() - started) };
}

/** Sends one, and nothing again by itself. */
async function send({
  by,
  timeoutMs,
}: {
  readonly by: Way["by"];
  readonly timeoutMs: number;
}): Promise<void> {
  const steps = [{ statement: { case: "sql", value: STATEMENT } }] as const;
  if (by === "calls") await client.transaction({ steps: [...steps] }, { timeoutMs });
  else await streaming.transaction([sql`SELECT nap(0.1)`], { timeoutMs });
}

/** Finds how much more memory a process takes than at first. */
function watchMemory(pid: number): { end(): number } {
  const take = (): number => {
    const kilobytes = /^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return Number(kilobytes) * 1024;
  };
  const first = take();
  let most = first;
  const timer = setInterval(() => (most = Math.max(most, take())), 100);
  return {
    end: () => {
      clearInterval(timer);
      return most - first;
    },
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function report(
  { by, overload: times }: Way,
  { goodput, answers, refusals, late }: Found,
  grownBytes: number,
): void {
  const ms = (values: readonly number[]): string => `${median(values).toFixed(1)} ms`;
  process.stderr.write(
    `chaos: peak ${peak.toFixed(0)}/s; under ${times} × that by ${by} ${goodput.toFixed(0)}/s in ${ms(answers)}, ` +
      `${refusals.length} refused in ${ms(refusals)}, ${late} late; memory grew by ${Math.round(grownBytes / 2 ** 20)} MiB\n`,
  );
}
