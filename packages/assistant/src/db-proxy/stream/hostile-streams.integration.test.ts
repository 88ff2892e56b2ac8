import { toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type TransactionStreamRequest,
  TransactionStreamRequestSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { createRawGrpcClient, type RawAnswer, type RawGrpcCall, toGrpcFrame } from "@tandem/testkit";
import { StatusCode } from "@tandem/rpc";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type GuardedProxy, startGuardedProxy } from "../../testing/guarded-proxy.ts";
import { line } from "../../testing/seen-line.ts";
import { cancel, item, together } from "../../testing/open-stream.ts";
import { step } from "../../testing/proxy-fixture.ts";

const MIB = 1024 * 1024;
const PATH = "/tandem.assistant.v1.DbProxy/TransactionStream";
// What a stream may hold of requests and of answers, and what the work itself leaves behind.
const MAX_GROWTH = 160 * MIB;
// So long nothing is taken from who is held back.
const STALLED_MS = 3_000;

let proxy: GuardedProxy;
const report: string[] = [];
beforeAll(async () => {
  proxy = await startGuardedProxy();
  await proxy.watch(() => delay(1_000));
});
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  process.stderr.write(`${report.join("\n")}\n`);
});

it("holds back who sends 100,000 items and reads no answers", async () => {
  let sent = 0;
  await expectBounded("100,000 items, no answer read", async (call) => {
    call.stream.pause();
    sent = await flood(call, 1_000, () => message(empty(100)));
  });
  expect(sent).toBeLessThan(900);
});

it("holds back who sends 4 MiB in every item and reads no answers", async () => {
  let sent = 0;
  await expectBounded("1,000 items of 4 MiB, no answer read", async (call) => {
    call.stream.pause();
    const echo = step("SELECT $1", { case: "textValue", value: "x".repeat(4 * MIB - 1_000) });
    sent = await flood(call, 1_000, (at) => message([item(at + 1, { steps: [echo] })]));
  });
  expect(sent).toBeLessThan(100);
});

it("keeps nothing of what small items come with that nobody knows", async () => {
  const field = toBinary(TransactionStreamRequestSchema, item(1, { steps: [step("SELECT 1")] }));
  const unknown = Buffer.concat([Buffer.from([0xfa, 0x01, ...varint(3 * MIB)]), Buffer.alloc(3 * MIB)]);
  await expectBounded("items with 3 MiB that nobody knows", async (call) => {
    call.stream.pause();
    await flood(call, 100, () => toGrpcFrame(Buffer.concat([field, unknown])));
  });
});

it.each([
  [
    "one id a hundred thousand times",
    () => message(Array.from({ length: 100 }, () => item(7, { steps: [] }))),
  ],
  [
    "a hundred thousand cancels of what isn't there",
    (at: number) => message(Array.from({ length: 100 }, (_, n) => cancel(at * 100 + n + 1))),
  ],
  [
    "a hundred thousand items that are cancelled at once",
    (at: number) => {
      const ids = Array.from({ length: 50 }, (_, n) => at * 50 + n + 1);
      return message(ids.flatMap((id) => [item(id, { steps: [step("SELECT 1")] }), cancel(id)]));
    },
  ],
  [
    "a hundred thousand items of no time",
    () => message(empty(100).map((each) => Object.assign(each, { timeout: durationFromMs(0) }))),
  ],
] as const)("outlives %s", async (what, body) => {
  const answers: RawAnswer[] = [];
  await expectBounded(what, async (call) => {
    expect(await flood(call, 1_000, body, 60_000)).toBe(1_000);
    call.stream.end();
    answers.push(await call.answer);
  });
  expect(answers.map(({ status }) => status)).toEqual([StatusCode.OK]);
});

it.each([
  ["metadata of 7 MiB", "OK", () => message(withMetadata({ long: "x".repeat(7 * MIB) }))],
  ["100,000 names in the metadata", "OK", () => message(withMetadata(names(100_000)))],
  [
    "a million empty items in one message",
    "INVALID_ARGUMENT",
    () => toGrpcFrame(Buffer.from("3200".repeat(MIB), "hex")),
  ],
  ["messages nested in each other", "INVALID_ARGUMENT", () => message([...empty(1), together(empty(2))])],
  ["nothing but ones", "INVALID_ARGUMENT", () => toGrpcFrame(Buffer.alloc(MIB, 0xff))],
] as const)("is sent %s, and says %s", async (what, answer, body) => {
  const answers: RawAnswer[] = [];
  await expectBounded(what, async (call) => {
    call.stream.end(body());
    answers.push(await call.answer);
  });
  expect(answers.map(({ status }) => StatusCode[status ?? -1])).toEqual([answer]);
});

async function expectBounded(what: string, work: (call: RawGrpcCall) => Promise<void>): Promise<void> {
  const client = createRawGrpcClient(proxy.address);
  const seen = await proxy.watch(async () => {
    const { authorization } = proxy;
    await work(client.open(PATH, { authorization, "grpc-timeout": "60S" }));
  });
  client.close();
  report.push(line(what, seen));
  expect(seen.calls.filter(({ failure }) => failure !== undefined)).toEqual([]);
  if (seen.grownBytes !== undefined) expect(seen.grownBytes).toBeLessThan(MAX_GROWTH);
}

/** Sends so many messages, as fast as they are taken. Gives how many were, where no more is for a while. */
async function flood(
  { stream }: RawGrpcCall,
  count: number,
  body: (at: number) => Uint8Array,
  stalledMs = STALLED_MS,
): Promise<number> {
  for (let sent = 0; sent < count; sent += 1) {
    if (stream.write(body(sent))) continue;
    const drained = once(stream, "drain").then(() => true);
    const stalled = delay(stalledMs, false, { ref: false });
    if (!(await Promise.race([drained, stalled]))) return sent;
  }
  return count;
}

function message(items: readonly TransactionStreamRequest[]): Uint8Array {
  return toGrpcFrame(toBinary(TransactionStreamRequestSchema, together(items, { readsMore: true })));
}

let last = 0;
/** Items that are refused as soon as they are read. */
function empty(count: number): TransactionStreamRequest[] {
  return Array.from({ length: count }, () => item((last += 1), { steps: [] }));
}

function withMetadata(metadata: Readonly<Record<string, string>>): TransactionStreamRequest[] {
  return [item(1, { steps: [] }, { metadata })];
}

function names(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, at) => [`x-${at}`, "x"]));
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let left = value; ; left >>>= 7) {
    if (left < 0x80) return [...bytes, left];
    bytes.push((left & 0x7f) | 0x80);
  }
}
