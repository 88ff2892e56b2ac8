import { create, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  TransactionRequestSchema,
  TransactionStreamRequestSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { HandlerError } from "@tandem/rpc";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cancel, item, together } from "../../testing/open-stream.ts";
import { readMessage, type ReceivedMessage } from "./received-items.ts";

const NOW = 1_000_000;
const RULES = { maxItems: 10, maxGatheredBytes: 100, now: NOW };
const request = create(TransactionRequestSchema, { requestId: "an id" });

function read(message: ReturnType<typeof item>, rules: Partial<typeof RULES> = {}): ReceivedMessage {
  return readMessage(toBinary(TransactionStreamRequestSchema, message), { ...RULES, ...rules });
}

describe("a message of a stream", () => {
  it("is read as it was written, whatever its ids, times and metadata are", () => {
    const anItem = fc.record({
      id: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
      timeoutMs: fc.option(fc.integer({ min: -(2 ** 31), max: 2 ** 31 }), { nil: undefined }),
      metadata: fc.dictionary(fc.stringMatching(/^[a-z-]{1,8}$/), fc.string({ unit: "grapheme" })),
      cancels: fc.boolean(),
    });
    const property = fc.property(
      fc.array(anItem, { minLength: 1, maxLength: 5 }),
      fc.boolean(),
      (all, readsMore) => {
        const messages = all.map(({ id, timeoutMs, metadata, cancels }) => {
          const options = { metadata, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
          return cancels ? cancel(id) : item(id, request, options);
        });
        const received = read(together(messages, { readsMore }));
        expect(received.readsMore).toBe(readsMore);
        expect(received.items).toHaveLength(all.length);
        for (const [at, { id, timeoutMs, metadata, cancels }] of all.entries()) {
          const found = received.items[at];
          expect(found).toMatchObject({ id, kind: cancels ? "cancel" : "request", flaw: undefined });
          if (cancels) continue;
          expect(found?.deadline?.getTime()).toBe(
            timeoutMs === undefined ? undefined : NOW + Math.max(0, timeoutMs),
          );
          expect(Object.fromEntries(found?.metadata ?? [])).toEqual({ ...metadata });
          expect(Buffer.from(found?.request ?? [])).toEqual(
            Buffer.from(toBinary(TransactionRequestSchema, request)),
          );
        }
      },
    );
    fc.assert(property);
  });

  it("is read, or refused with a HandlerError, whatever its bytes are", () => {
    const valid = toBinary(TransactionStreamRequestSchema, together([item(1, request), cancel(2)]));
    const mutated = fc.array(fc.tuple(fc.nat(valid.byteLength - 1), fc.nat(255)), { maxLength: 4 });
    const anyBytes = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      mutated.map((changes) => {
        const bytes = valid.slice();
        for (const [at, byte] of changes) bytes[at] = byte;
        return bytes;
      }),
    );
    const property = fc.property(anyBytes, (bytes) => {
      try {
        for (const { id } of readMessage(bytes, RULES).items) expect(id).toBeGreaterThan(0n);
      } catch (error) {
        expect(error).toBeInstanceOf(HandlerError);
        expect(error).toMatchObject({ reason: "INVALID_REQUEST", outcome: "UNKNOWN" });
      }
    });
    fc.assert(property, { numRuns: 2_000 });
  });

  it("counts what its items keep in memory, whatever of it is theirs", () => {
    const { items } = read(
      together([item(1, request), item(2, request, { metadata: { long: "x".repeat(500) } })]),
    );
    expect(items.map(({ weight }) => weight)).toEqual([items[0]?.weight, items[0]?.weight]);
    expect(items[0]?.weight).toBeGreaterThan(250);
  });

  it.each([2n ** 63n - 1n, -(2n ** 63n)])(
    "has a deadline that a clock can show, after %s seconds as well",
    (seconds) => {
      const timeout = Object.assign(durationFromMs(0), { seconds });
      const { deadline } = read(Object.assign(item(1, request), { timeout })).items[0] ?? {};
      expect(deadline?.getTime()).toBeGreaterThanOrEqual(NOW);
    },
  );

  it("is refused item by item where several are larger than they may be together, and one alone isn't", () => {
    const two = read(together([item(1, request), item(2, request)]), { maxGatheredBytes: 10 });
    expect(two.items.map(({ flaw }) => flaw?.reason)).toEqual(["REQUEST_TOO_LARGE", "REQUEST_TOO_LARGE"]);
    expect(read(item(1, request), { maxGatheredBytes: 1 }).items[0]?.flaw).toBeUndefined();
  });
});
