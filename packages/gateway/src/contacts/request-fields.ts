import { parseRequestId } from "@tandem/postgres";
import { invalidField } from "@tandem/rpc";
import { canonicalAddress } from "./canonical-address.ts";
import { contactsLimits } from "./limits.ts";

// The fields that requests of Contacts share. Each fails with INVALID_REQUEST, and names the field.

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const NIL = "00000000-0000-0000-0000-000000000000";
const TYPE = /^[a-z0-9_-]{1,64}$/;

/** Undefined where none is given. */
export function parseOptionalRequestId(given: string): string | undefined {
  return given === "" ? undefined : parseRequestId(given);
}

export function parseId(given: string): string {
  const id = given.toLowerCase();
  if (UUID.test(id) && id !== NIL) return id;
  const why =
    given === "" ? "is required" : "must be a UUID: 8, 4, 4, 4 and 12 hexadecimal digits, not all of them 0";
  throw invalidField({ field: "id", why });
}

export function parseExpectedVersion(given: bigint | undefined): bigint | null {
  if (given === undefined) return null;
  if (given >= 0n) return given;
  throw invalidField({ field: "expected_version", why: "must not be negative" });
}

/** A text of one line, trimmed; it may be empty. */
export function parseLine(given: string, field: string, maxLength: number): string {
  const text = given.trim();
  if (text.length > maxLength) throw invalidField({ field, why: `is longer than ${maxLength} characters` });
  if (/\p{Cc}/u.test(text)) throw invalidField({ field, why: "holds a control character" });
  return text;
}

/** A text of any number of lines. */
export function parseReason(given: string): string {
  const { maxReasonLength } = contactsLimits;
  const text = given.trim();
  if (text.length > maxReasonLength) {
    throw invalidField({ field: "reason", why: `is longer than ${maxReasonLength} characters` });
  }
  if (text.includes("\0")) throw invalidField({ field: "reason", why: "holds a NUL" });
  return text;
}

/** Type and canonical address of a channel; `prefix` is where it stands in the request: `channels[1].`. */
export function parseAddress(
  given: { readonly type: string; readonly address: string },
  prefix = "",
): { readonly type: string; readonly address: string } {
  const { type } = given;
  if (!TYPE.test(type)) {
    throw invalidField({
      field: `${prefix}type`,
      why: 'must be 1 to 64 of a-z, 0-9, _ and -, such as "email"',
    });
  }
  const found = canonicalAddress(type, given.address);
  if ("address" in found) return { type, address: found.address };
  throw invalidField({ field: `${prefix}address`, why: found.why });
}
