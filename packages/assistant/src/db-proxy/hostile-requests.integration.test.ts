import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { ErrorInfoSchema } from "@tandem/contract/google/rpc/error_details";
import { StatusSchema } from "@tandem/contract/google/rpc/status";
import { StatusCode } from "@tandem/rpc";
import { createRawGrpcClient, type RawAnswer, type RawGrpcClient } from "@tandem/testkit";
import { constants } from "node:http2";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BystanderCall } from "../testing/bystander-thread.ts";
import { type GuardedProxy, type Seen, startGuardedProxy } from "../testing/guarded-proxy.ts";
import { line, percentile } from "../testing/seen-line.ts";
import {
  fullRequest,
  type HostileRequest,
  hostileRequests,
  largestRequest,
  unparsableRequest,
} from "../testing/hostile-requests.ts";

const MIB = 1024 * 1024;
const MAX_GROWTH = 16 * MIB;
// The parser of statements has 128 MiB. Its thread is replaced by another once it has wanted more, or has taken much.
const MAX_GROWTH_PARSED = 128 * MIB;
// The bystander's calls before each piece of work and meanwhile are of one machine, shared with whatever else runs.
const MAX_SLOWDOWN = { factor: 10, ms: 250 };
// A new text waits for one of another caller's at most, half of it in the median. The rest is of a busy machine.
const MAX_TURNS = 1.5;

const requests = await hostileRequests();
let proxy: GuardedProxy;
const seen: Seen[] = [];
const report: string[] = [];

beforeAll(async () => {
  proxy = await startGuardedProxy();
  // What comes first is slow: code is compiled, connections are made.
  await proxy.watch(() => delay(1_000));
});
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  process.stderr.write(`${report.join("\n")}\n`);
});

describe("a request that nobody should send is refused, at next to no cost", () => {
  it.each(requests)("$what: $answer", async (request) => {
    const { what, answer, parsed = false } = request;
    const answers: RawAnswer[] = [];
    await expectCheap(what, async () => answers.push(await send(request)), parsed);
    expect(answers.map(toText)).toEqual([answer]);
  });
});

it("lets through what is within the limits", async () => {
  for (const request of [largestRequest(), fullRequest()]) {
    const answers: RawAnswer[] = [];
    const work = await proxy.watch(async () => answers.push(await send(request)));
    expect(answers.map(toText)).toEqual(["OK"]);
    report.push(line("a request at its limit, which is answered", work));
  }
});

it("refuses a stranger who sends 100 times 4 MiB at once", async () => {
  const answers: RawAnswer[] = [];
  await expectCheap("a stranger with 100 times 4 MiB", async () => {
    using four = connectAll(4);
    const { path, body } = fullRequest();
    const sends = four.clients.flatMap((client) => Array.from({ length: 25 }, () => client.send(path, body)));
    answers.push(...(await Promise.all(sends)));
  });
  expect(answers).toHaveLength(100);
  expect(new Set(answers.map(toText))).toEqual(new Set(["UNAUTHENTICATED UNAUTHENTICATED"]));
});

it("gives up a thousand requests that never come to their end", async () => {
  const answers: RawAnswer[] = [];
  await expectCheap("a thousand requests without an end", async () => {
    using one = connectAll(1);
    const { path, body } = fullRequest();
    const calls = Array.from({ length: 1_000 }, () => {
      const { stream, answer } = one.first.open(path, { authorization: proxy.authorization });
      stream.write(body.subarray(0, 100));
      return answer;
    });
    answers.push(...(await Promise.all(calls)));
  });
  expect(new Set(answers.map(toText))).toEqual(new Set(["DEADLINE_EXCEEDED"]));
});

it("outlives 10,000 calls that are given up as soon as they are made", async () => {
  const work = await proxy.watch(async () => {
    using one = connectAll(1);
    const { path } = fullRequest();
    const closed: Promise<RawAnswer>[] = [];
    for (let at = 0; at < 10_000; at += 1) {
      const { stream, answer } = one.first.open(path, { authorization: proxy.authorization });
      stream.close(constants.NGHTTP2_CANCEL);
      closed.push(answer);
      if (at % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(closed);
  });
  report.push(line("10,000 calls that are reset", work));
  if (work.grownBytes !== undefined) expect(work.grownBytes).toBeLessThan(MAX_GROWTH);
  // They take the process a second, in which others wait; nobody is cut off.
  expect(work.calls.filter(({ failure }) => failure !== undefined)).toEqual([]);
});

it("lets another caller's new texts be parsed in between, whatever one caller gives the parser to do", async () => {
  const answers: RawAnswer[] = [];
  let hostileMs = 0;
  const work = await proxy.watch(async () => {
    const began = performance.now();
    const lanes = Array.from({ length: 8 }, async (_, lane) => {
      for (let at = 0; at < 2; at += 1) answers.push(await send(unparsableRequest(lane * 100 + at)));
    });
    await Promise.all(lanes);
    hostileMs = (performance.now() - began) / answers.length;
  });
  expect(new Set(answers.map(toText))).toEqual(new Set(["INVALID_ARGUMENT SQL_INVALID"]));
  const ofNew = work.calls.filter(({ kind }) => kind === "new");
  const median = percentile(ofNew, 0.5);
  report.push(
    `bystander: new texts ${median.toFixed(0)} ms in the median, while each of another's held the parser for ${hostileMs.toFixed(0)} ms`,
  );
  expect(work.calls.filter(({ failure }) => failure !== undefined)).toEqual([]);
  expect(ofNew.length).toBeGreaterThan(10);
  expect(median).toBeLessThan(MAX_TURNS * hostileMs);
});

it("isn't noticed by who calls meanwhile", () => {
  const before = seen.flatMap(({ callsBefore }) => callsBefore);
  const meanwhile = seen.flatMap(({ calls }) => calls);
  report.push(
    `bystander: p99 ${p99(before).toFixed(0)} ms before, ${p99(meanwhile).toFixed(0)} ms meanwhile`,
  );
  expect([...before, ...meanwhile].filter(({ failure }) => failure !== undefined)).toEqual([]);
  expect(meanwhile.length).toBeGreaterThan(100);
  expect(p99(meanwhile)).toBeLessThan(MAX_SLOWDOWN.factor * p99(before) + MAX_SLOWDOWN.ms);
});

async function expectCheap(what: string, sendIt: () => Promise<unknown>, parsed = false): Promise<void> {
  const work = await proxy.watch(sendIt);
  seen.push(work);
  report.push(line(what, work));
  if (work.grownBytes !== undefined) {
    expect(work.grownBytes).toBeLessThan(parsed ? MAX_GROWTH_PARSED : MAX_GROWTH);
  }
}

async function send({ path, body, headers }: Sendable): Promise<RawAnswer> {
  using one = connectAll(1);
  const { authorization } = proxy;
  return await one.first.send(path, body, { authorization, "grpc-timeout": "20S", ...headers });
}

type Sendable = Pick<HostileRequest, "path" | "body" | "headers">;

interface Connections extends Disposable {
  readonly first: RawGrpcClient;
  readonly clients: readonly RawGrpcClient[];
}

function connectAll(count: number): Connections {
  const first = createRawGrpcClient(proxy.address);
  const others = Array.from({ length: count - 1 }, () => createRawGrpcClient(proxy.address));
  const clients = [first, ...others];
  return {
    first,
    clients,
    [Symbol.dispose]: () => {
      for (const client of clients) client.close();
    },
  };
}

/** The code, and the reason where our side gave one. */
function toText({ status, details }: RawAnswer): string {
  const code = status === undefined ? "nothing" : String(StatusCode[status]);
  const [info] = fromBinary(StatusSchema, details).details.flatMap((any) => {
    const unpacked = anyUnpack(any, ErrorInfoSchema);
    return unpacked === undefined ? [] : [unpacked];
  });
  return info === undefined ? code : `${code} ${info.reason}`;
}

function p99(calls: readonly BystanderCall[]): number {
  return percentile(calls, 0.99);
}
