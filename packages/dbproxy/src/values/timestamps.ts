import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Value } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { MalformedAnswerError } from "../malformed-answer-error.ts";

// 0001-01-01 and 9999-12-31, the years that the contract's timestamps may have.
const FIRST_MS = -62_135_596_800_000;
const LAST_MS = 253_402_300_799_999;
const NANOS_PER_SECOND = 1_000_000_000;

/**
 * A Date for the wire: a timestamp, and outside the years 1 to 9999 PostgreSQL's own text for one.
 *
 * @throws TypeError where the Date is invalid
 */
export function fromDate(date: Date, subject: string): Value["kind"] {
  const ms = date.getTime();
  if (Number.isNaN(ms)) throw new TypeError(`${subject} is an invalid Date.`);
  if (ms < FIRST_MS || ms > LAST_MS) return { case: "textValue", value: toPostgresText(date) };
  return { case: "timestampValue", value: timestampFromMs(ms) };
}

/** `2026-01-02T03:04:05.678901Z`: nothing is lost, `new Date` takes it, and so does PostgreSQL. */
export function toIsoText({ seconds, nanos }: Timestamp): string {
  const ms = Number(seconds) * 1_000;
  if (ms < FIRST_MS || ms > LAST_MS || nanos < 0 || nanos >= NANOS_PER_SECOND || nanos % 1_000 !== 0) {
    throw new MalformedAnswerError("the answer has a timestamp out of its range");
  }
  const toTheSecond = new Date(ms).toISOString().slice(0, "2026-01-02T03:04:05".length);
  return `${toTheSecond}.${String(nanos / 1_000).padStart(6, "0")}Z`;
}

// ISO 8601 as JavaScript writes it has signed years of six digits there; PostgreSQL reads plain ones and
// counts backwards from 1 BC, which is the year 0.
function toPostgresText(date: Date): string {
  const iso = date.toISOString();
  const year = date.getUTCFullYear();
  const shownYear = String(year > 0 ? year : 1 - year).padStart(4, "0");
  const rest = iso.slice(iso.indexOf("-", 1)).replace("T", " ").replace("Z", "+00");
  return `${shownYear}${rest}${year > 0 ? "" : " BC"}`;
}
