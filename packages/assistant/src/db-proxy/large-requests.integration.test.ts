import { create, toBinary } from "@bufbuild/protobuf";
import {
  DbProxy,
  TransactionRequestSchema,
  type Value,
  ValueListSchema,
  ValueSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { createChannel, createClient, StatusCode } from "@tandem/rpc";
import { once } from "node:events";
import { connect, type IncomingHttpHeaders } from "node:http2";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createProxyFixture, type ProxyFixture, type StepInit } from "../testing/proxy-fixture.ts";

const LOAD_MS = 4_000;

let proxy: ProxyFixture;
beforeAll(async () => {
  // Time enough, however busy the machine is: every request is to be worked on to its end.
  proxy = await createProxyFixture({ statementTimeoutMs: 60_000, transactionTimeoutMs: 60_000 });
});
afterAll(() => proxy[Symbol.asyncDispose]());

it("goes on answering probes while other callers send the largest requests that there are", async () => {
  const load = { running: true, answers: new Map<string, Set<string>>(), count: 0 };
  const senders = Object.entries(worstRequests()).map(async ([what, [first, ...others]]) => {
    const sender = createSender(proxy.address);
    const statuses = new Set<string>();
    load.answers.set(what, statuses);
    for (const messages = [first, ...others]; load.running; messages.push(messages.shift() ?? first)) {
      statuses.add(await sender.send(messages[0] ?? first));
      load.count += 1;
    }
    sender.close();
  });
  const watch = watchLoop();
  const latencies = await probe(proxy.address, LOAD_MS);
  const heldMs = watch.end();
  load.running = false;
  await Promise.all(senders);
  process.stderr.write(
    `${load.count} large requests: the loop was held for ${heldMs} ms, probes took ${summaryOf(latencies)}\n`,
  );
  // Each was worked on to its end.
  const refused = new Set(["a text that takes long to parse", "fields that nobody knows"]);
  for (const [what, statuses] of load.answers) {
    expect([...statuses], what).toEqual([
      String(refused.has(what) ? StatusCode.INVALID_ARGUMENT : StatusCode.OK),
    ]);
  }
  // Most of it is the collector of garbage. Where these requests are worked on at one go it is seconds.
  expect(heldMs).toBeLessThan(150);
  expect(latencies.length).toBeGreaterThan(10);
}, 90_000);

/** Finds the longest work between two turns of the loop, in the processor's time: other programs don't count. */
function watchLoop(): { end(): number } {
  let longestUs = 0;
  let last = process.threadCpuUsage();
  const look = (): void => {
    const now = process.threadCpuUsage();
    longestUs = Math.max(longestUs, now.user - last.user + now.system - last.system);
    last = now;
  };
  const timer = setInterval(look, 1);
  return {
    end: () => {
      clearInterval(timer);
      return Math.round(longestUs / 1_000);
    },
  };
}

/** How long each of the probes took that were sent, one after the other, for so long. */
async function probe(address: string, durationMs: number): Promise<number[]> {
  const channel = createChannel({ address });
  const client = createClient(DbProxy, channel);
  await client.probe({});
  const latencies: number[] = [];
  for (const ends = performance.now() + durationMs; performance.now() < ends;) {
    const started = performance.now();
    await client.probe({}, { timeoutMs: 10_000 });
    latencies.push(performance.now() - started);
  }
  channel.close();
  return latencies;
}

function summaryOf(latencies: readonly number[]): string {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(1);
  return `median ${at(0.5)} p99 ${at(0.99)} max ${at(1)} ms of ${sorted.length}`;
}

/** Sends requests that are encoded already, and looks at an answer's status alone: it keeps nobody busy. */
function createSender(address: string): { send(message: Buffer): Promise<string>; close(): void } {
  const session = connect(`http://${address}`);
  return {
    send: async (message) => {
      const stream = session.request({
        ":method": "POST",
        ":path": `/${DbProxy.typeName}/Transaction`,
        "content-type": "application/grpc",
        te: "trailers",
        "grpc-timeout": "60S",
      });
      let status = "none";
      const read = (headers: IncomingHttpHeaders): void => {
        status = String(headers["grpc-status"] ?? status);
      };
      // A failure comes with the headers.
      stream.on("response", read).on("trailers", read).resume().end(message);
      await once(stream, "close");
      return status;
    },
    close: () => session.close(),
  };
}

/** Requests as large as they may be, and with answers as large as they may be, by what is costly in them. */
function worstRequests(): Readonly<Record<string, readonly [Buffer, ...Buffer[]]>> {
  const int = (at: number): Value =>
    create(ValueSchema, { kind: { case: "intValue", value: BigInt(at % 100) } });
  const list = create(ValueSchema, {
    kind: { case: "listValue", value: create(ValueListSchema, { values: repeat(65_000, int) }) },
  });
  const parameters = repeat(1_000, (at) => `$${at + 1}::int8`).join(", ");
  const columns = repeat(40, () => "n").join(", ");
  // Three of them are more than what is known of earlier texts.
  const texts = (variant: number): Buffer =>
    request(repeat(128, (at) => [`SELECT 1 WHERE 1 IN (${"2,".repeat(16_000)}${at}${variant})`]));
  return {
    "one list": [request([["SELECT cardinality($1::int8[])", [list]]])],
    "many parameters": [request(repeat(43, () => [`SELECT ${parameters}`, repeat(1_000, int)]))],
    "many texts": [texts(1), texts(2), texts(3)],
    "a text that takes long to parse": [request([[`SELECT 1${"/*".repeat(16_000)}${"*/".repeat(16_000)}`]])],
    "many values": [request([[`SELECT ${columns} FROM generate_series(1, 10000) n`]])],
    "many elements": [request([["SELECT array_fill(1, ARRAY[500000])"]])],
    bytes: [request([["SELECT decode(repeat('ab', 4000000), 'hex')"]])],
    "long texts": [request([["SELECT to_jsonb(repeat('x', 400)) FROM generate_series(1, 9000)"]])],
    "fields that nobody knows": [frame(Buffer.from("7001".repeat(2_000_000), "hex"))],
  };
}

function repeat<T>(times: number, make: (at: number) => T): T[] {
  return Array.from({ length: times }, (_, at) => make(at));
}

function request(steps: readonly (readonly [sql: string, values?: readonly Value[]])[]): Buffer {
  const message = create(TransactionRequestSchema, {
    steps: steps.map(([sql, values = []]): StepInit => ({
      statement: { case: "sql", value: sql },
      params: values.map((value) => ({ kind: { case: "value", value } })),
    })),
  });
  return frame(toBinary(TransactionRequestSchema, message));
}

/** A message as gRPC puts it on the wire. */
function frame(message: Uint8Array): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([header, message]);
}
