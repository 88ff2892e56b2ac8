import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  TransactionRequestSchema,
  TransactionResponseSchema,
  TransactionStreamRequestSchema,
  TransactionStreamResponseSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { describe, expect, it } from "vitest";
import { EntryWriter, MAX_ENTRY_OVERHEAD, readAnswers, type StreamEntry } from "./messages.ts";

const request = (sql: string): Uint8Array =>
  toBinary(
    TransactionRequestSchema,
    create(TransactionRequestSchema, { steps: [{ statement: { case: "sql", value: sql } }] }),
  );
const entry = (id: number, sql: string, timeoutMs = 1_500): StreamEntry => ({
  id,
  request: request(sql),
  timeoutMs,
  callId: undefined,
});
const sqlOf = (id: bigint | undefined, value: unknown): string => `${id}: ${JSON.stringify(value)}`;

describe("a message to the owner", () => {
  const decode = (bytes: Uint8Array) => fromBinary(TransactionStreamRequestSchema, bytes);

  it("holds a transaction, what is left of its time, and the id of its call", () => {
    const message = decode(new EntryWriter().encode([{ ...entry(7, "SELECT 1"), callId: "call-1" }]));
    expect(message).toMatchObject({
      id: 7n,
      kind: { case: "request", value: { steps: [{ statement: { value: "SELECT 1" } }] } },
      timeout: { seconds: 1n, nanos: 500_000_000 },
      metadata: { "tandem-call-id": "call-1" },
      more: [],
    });
  });

  it("holds several in their order, and cancellations among them", () => {
    const entries: StreamEntry[] = [{ id: 3, cancel: true }, entry(4, "SELECT 4"), entry(5, "SELECT 5")];
    const message = decode(new EntryWriter().encode(entries));
    expect([message, ...message.more].map(({ id, kind }) => sqlOf(id, kind.case))).toEqual([
      '3: "cancel"',
      '4: "request"',
      '5: "request"',
    ]);
  });

  it("says, when it is the first, that several answers are read from one", () => {
    const writer = new EntryWriter();
    const messages = [1, 3].map((id) =>
      decode(writer.encode([entry(id, "SELECT"), entry(id + 1, "SELECT")])),
    );
    expect(messages.map(({ readsMore, more }) => [readsMore, more[0]?.readsMore])).toEqual([
      [true, false],
      [false, false],
    ]);
  });

  it.each([
    { timeoutMs: 0.25, seconds: 0n, nanos: 250_000 },
    { timeoutMs: -5, seconds: 0n, nanos: 0 },
    { timeoutMs: 8.64e15, seconds: 31_536_000n, nanos: 0 },
  ])("says $timeoutMs ms as a duration that there is", ({ timeoutMs, seconds, nanos }) => {
    const { timeout } = decode(new EntryWriter().encode([entry(1, "SELECT 1", timeoutMs)]));
    expect(timeout).toMatchObject({ seconds, nanos });
  });

  it("says no time where there is no end to it", () => {
    expect(decode(new EntryWriter().encode([entry(1, "SELECT 1", Infinity)])).timeout).toBeUndefined();
  });

  it("is not larger beside the request than is reckoned with", () => {
    const bytes = request("SELECT 1");
    const largest = { id: 2 ** 53 - 1, request: bytes, timeoutMs: 31_535_999_999.9, callId: "x".repeat(64) };
    const message = new EntryWriter().encode([{ id: 1, cancel: true }, largest]);
    expect(message.byteLength - bytes.byteLength).toBeLessThan(MAX_ENTRY_OVERHEAD);
  });
});

describe("a message from the owner", () => {
  const encode = (init: Parameters<typeof create<typeof TransactionStreamResponseSchema>>[1]): Uint8Array =>
    toBinary(TransactionStreamResponseSchema, create(TransactionStreamResponseSchema, init));

  it("holds answers in their order, each for whom it is for to decode", () => {
    const bytes = encode({
      id: 1n,
      outcome: { case: "response", value: { writeToken: "one" } },
      more: [
        { id: 2n, outcome: { case: "error", value: { code: 5, message: "two" } } },
        { outcome: { case: "goAway", value: true } },
        { id: 2n ** 40n, outcome: { case: "response", value: { writeToken: "three" } } },
      ],
    });
    const answers = readAnswers(bytes);
    expect(answers.map((each) => ("id" in each ? [each.kind, each.id] : each.kind))).toEqual([
      ["response", 1],
      ["error", 2],
      "go away",
      ["response", 2 ** 40],
    ]);
    const [first] = answers;
    const inside = first !== undefined && "bytes" in first ? first.bytes : new Uint8Array();
    expect(fromBinary(TransactionResponseSchema, inside).writeToken).toBe("one");
  });

  it("of a newer contract is read without what is new in it", () => {
    const known = encode({ id: 1n, outcome: { case: "response", value: {} } });
    // Field 99: the varint 1, and the text "new".
    const unknown = Uint8Array.of(0x98, 0x06, 0x01, 0x9a, 0x06, 0x03, 0x6e, 0x65, 0x77);
    expect(readAnswers(Uint8Array.of(...unknown, ...known, ...unknown))).toMatchObject([{ id: 1 }]);
    expect(readAnswers(Uint8Array.of(...unknown, 0x08, 0x01))).toEqual([]);
  });

  it.each([
    { what: "ends in the middle of a field", bytes: [0x12, 0x05, 0x01] },
    { what: "has a number without an end", bytes: [0x08, ...Array.from({ length: 11 }, () => 0xff)] },
    { what: "holds such a one", bytes: [0x2a, 0x03, 0x12, 0x05, 0x01] },
  ])("is refused where it $what", ({ bytes }) => {
    expect(() => readAnswers(Uint8Array.from(bytes))).toThrow();
  });
});
