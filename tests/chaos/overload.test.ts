import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { DbProxy } from "@tandem/contract/tandem/assistant/v1/db_proxy";
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
const OVERLOAD = 1.5;
/** How long its callers wait: longer than whoever is last in a full queue has to, and less. */
const TIMEOUTS_MS = [1_000, 300];
const MAX_GROWTH_BYTES = 64 * 1024 * 1024;

let pair: Pair;
let assistant: Service;
let channel: Channel;
let client: Client<typeof DbProxy>;
let peak: number;
beforeAll(async () => {
  pair = await createPair();
  assistant = await pair.startAssistant();
  await assistant.serving();
  channel = createChannel({ address: await assistant.dbProxyAddress() });
  client = createClient(DbProxy, channel);
  peak = await calibrate();
});
afterAll(async () => {
  channel.close();
  await pair[Symbol.asyncDispose]();
});

// Its connections are what the service has too little of: with 10 of them it carries less than 100 of these a second,
// which takes neither it nor this process, which makes the load, more than a part of a processor.
const STATEMENT = "SELECT nap(0.1)";

it.each(TIMEOUTS_MS)(
  `carries on at its peak, refuses at once and grows no further under ${OVERLOAD} × what it carries, within %i ms (TANDEM_CHAOS_SEED=${seed})`,
  async (timeoutMs) => {
    const memory = watchMemory(assistant.process.pid);
    const found = await overload(peak * OVERLOAD, timeoutMs);
    const grownBytes = memory.end();
    report(found, grownBytes);
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
        await call(CALIBRATION_MS);
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
async function overload(perSecond: number, timeoutMs: number): Promise<Found> {
  const random = createRandom(seed);
  const found = { answers: [] as number[], refusals: [] as number[], late: 0, others: [] as unknown[] };
  const arrive = async (): Promise<void> => {
    const started = performance.now();
    try {
      await call(timeoutMs);
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

// The raw client: it sends nothing again by itself.
async function call(timeoutMs: number): Promise<void> {
  await client.transaction({ steps: [{ statement: { case: "sql", value: STATEMENT } }] }, { timeoutMs });
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

function report({ goodput, answers, refusals, late }: Found, grownBytes: number): void {
  const ms = (values: readonly number[]): string => `${median(values).toFixed(1)} ms`;
  process.stderr.write(
    `chaos: peak ${peak.toFixed(0)}/s; under ${OVERLOAD} × that ${goodput.toFixed(0)}/s in ${ms(answers)}, ` +
      `${refusals.length} refused in ${ms(refusals)}, ${late} late; memory grew by ${Math.round(grownBytes / 2 ** 20)} MiB\n`,
  );
}
