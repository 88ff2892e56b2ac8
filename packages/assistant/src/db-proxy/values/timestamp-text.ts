import type { GivenTime } from "../wire/given.ts";

// 0001-01-01T00:00:00Z and the last second of 9999: what google.protobuf.Timestamp can say.
const FIRST_SECOND = -62_135_596_800n;
const LAST_SECOND = 253_402_300_799n;

/**
 * A timestamp in a form that PostgreSQL reads to the microsecond, or the reason why it can't be one.
 * `nanos` finer than that are refused, not rounded.
 */
export function toTimestampText(value: GivenTime): { readonly text: string } | { readonly refused: string } {
  const { seconds, nanos } = value;
  if (seconds < FIRST_SECOND || seconds > LAST_SECOND || nanos < 0 || nanos > 999_999_999) {
    return { refused: "is not a timestamp from year 1 to 9999: send it as text" };
  }
  if (nanos % 1_000 !== 0) return { refused: "is finer than a microsecond, which PostgreSQL doesn't keep" };
  const whole = new Date(Number(seconds) * 1_000).toISOString().slice(0, 19);
  return { text: `${whole}.${String(nanos / 1_000).padStart(6, "0")}Z` };
}

// With DateStyle ISO and time zone UTC: 2026-01-02 03:04:05.678901+00
const ISO = /^(\d{4})-(\d{2})-(\d{2}) (\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?\+00$/;

/** A timestamptz in PostgreSQL's text; nothing where it is beyond years 1 to 9999 or infinite. */
export function parseTimestampText(text: string): { seconds: bigint; nanos: number } | undefined {
  const [, year, month, day, hour, minute, second, fraction = ""] = ISO.exec(text) ?? [];
  if (year === undefined) return undefined;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return { seconds: BigInt(ms / 1_000), nanos: Number(fraction.padEnd(6, "0")) * 1_000 };
}
