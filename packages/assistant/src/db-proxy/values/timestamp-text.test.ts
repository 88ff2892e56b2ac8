import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseTimestampText, toTimestampText } from "./timestamp-text.ts";

const timestamp = (seconds: bigint, nanos: number) => create(TimestampSchema, { seconds, nanos });

describe("a timestamp", () => {
  it("keeps every microsecond from year 1 to 9999 on its way to PostgreSQL's text and back", () => {
    const seconds = fc.bigInt({ min: -62_135_596_800n, max: 253_402_300_799n });
    fc.assert(
      fc.property(seconds, fc.integer({ min: 0, max: 999_999 }), (second, micros) => {
        const sent = toTimestampText(timestamp(second, micros * 1_000));
        if (!("text" in sent)) throw new Error(sent.refused);
        const asPostgresWritesIt = sent.text.replace("T", " ").replace("Z", "+00");
        expect(parseTimestampText(asPostgresWritesIt)).toEqual({ seconds: second, nanos: micros * 1_000 });
      }),
    );
  });

  it.each([
    ["finer than a microsecond", timestamp(0n, 1)],
    ["before year 1", timestamp(-62_135_596_801n, 0)],
    ["after year 9999", timestamp(253_402_300_800n, 0)],
    ["with nanoseconds below zero", timestamp(0n, -1)],
  ])("is refused, not rounded, when it is %s", (_, value) => {
    expect(toTimestampText(value)).toHaveProperty("refused");
  });

  it.each(["infinity", "-infinity", "0044-03-15 12:00:00+00 BC", "10000-01-01 00:00:00+00"])(
    "has no other form than text where it is %s",
    (text) => expect(parseTimestampText(text)).toBeUndefined(),
  );
});
