import { create } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";

const TEXT = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:\+00(?::00)?|Z)$/;
const NANOS_PER_MICRO = 1_000;
const MICRO_DIGITS = 6;
const MAX_NANOS = 999_999_999;
// The years that the contract's Timestamp has: 1 to 9999.
const MIN_SECONDS = -62_135_596_800n;
const MAX_SECONDS = 253_402_300_799n;

/** PostgreSQL's text of a time, in UTC, or DbProxy's, as the contract has it. Fails with a RangeError for any other text. */
export function toTimestamp(text: string): Timestamp {
  const [, date = "", time = "", fraction = ""] = TEXT.exec(text) ?? [];
  const ms = Date.parse(`${date}T${time}Z`);
  if (Number.isNaN(ms))
    throw new RangeError("A time is not one that PostgreSQL writes in UTC, to the microsecond.");
  const nanos = Number(fraction.padEnd(MICRO_DIGITS, "0")) * NANOS_PER_MICRO;
  return create(TimestampSchema, { seconds: BigInt(ms / 1_000), nanos });
}

/**
 * A time as PostgreSQL writes it in JSON, in UTC. What is shorter than a microsecond is left out. Fails with a RangeError
 * where the contract allows no such time.
 */
export function fromTimestamp({ seconds, nanos }: Timestamp): string {
  if (seconds < MIN_SECONDS || seconds > MAX_SECONDS || nanos < 0 || nanos > MAX_NANOS) {
    throw new RangeError("A time is not of the years 1 to 9999.");
  }
  const micros = Math.floor(nanos / NANOS_PER_MICRO);
  const fraction = String(micros).padStart(MICRO_DIGITS, "0").replace(/0+$/, "");
  const whole = new Date(Number(seconds) * 1_000).toISOString().slice(0, "2026-01-01T00:00:00".length);
  return `${whole}${fraction === "" ? "" : `.${fraction}`}+00:00`;
}
