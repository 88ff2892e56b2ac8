import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { ValueSchema } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { describe, expect, it } from "vitest";
import { MalformedAnswerError } from "../malformed-answer-error.ts";
import { fromValue } from "./from-value.ts";

type Kind = NonNullable<MessageInitShape<typeof ValueSchema>["kind"]>;

function received(kind: Kind): unknown {
  return fromValue(create(ValueSchema, { kind }));
}

describe("a value of an answer", () => {
  it.each([
    { seconds: 1_767_323_045n, nanos: 678_901_000, text: "2026-01-02T03:04:05.678901Z" },
    { seconds: 0n, nanos: 0, text: "1970-01-01T00:00:00.000000Z" },
    { seconds: -1n, nanos: 1_000, text: "1969-12-31T23:59:59.000001Z" },
    { seconds: -62_135_596_800n, nanos: 0, text: "0001-01-01T00:00:00.000000Z" },
    { seconds: 253_402_300_799n, nanos: 999_999_000, text: "9999-12-31T23:59:59.999999Z" },
  ])("keeps a timestamp's microseconds: $text", ({ seconds, nanos, text }) => {
    expect(received({ case: "timestampValue", value: { seconds, nanos } })).toBe(text);
  });

  it.each<{ what: string; kind: Kind }>([
    { what: "a year 10000", kind: { case: "timestampValue", value: { seconds: 253_402_300_800n } } },
    { what: "a year 0", kind: { case: "timestampValue", value: { seconds: -62_135_596_801n } } },
    { what: "nanoseconds", kind: { case: "timestampValue", value: { nanos: 1 } } },
    { what: "negative nanoseconds", kind: { case: "timestampValue", value: { nanos: -1_000 } } },
    { what: "too many nanoseconds", kind: { case: "timestampValue", value: { nanos: 1_000_000_000 } } },
    { what: "JSON that is none", kind: { case: "jsonValue", value: "s3cret" } },
  ])("is malformed, unshown: $what", ({ kind }) => {
    expect(() => received(kind)).toThrow(MalformedAnswerError);
    expect(() => received(kind)).not.toThrow(/s3cret/);
  });

  it("is malformed, not NULL, where it is of a kind that only a newer server knows", () => {
    const ofTheFuture = fromBinary(ValueSchema, Uint8Array.of(0x78, 0x01));
    expect(() => fromValue(ofTheFuture)).toThrow(MalformedAnswerError);
    expect(fromValue(create(ValueSchema))).toBeNull();
  });
});
