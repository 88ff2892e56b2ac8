import type { Duration } from "@bufbuild/protobuf/wkt";
import type { NewInvite } from "@tandem/contract/tandem/invite/v1/invite";
import { idFrom } from "@tandem/postgres";
import { invalidField } from "@tandem/rpc";
import { randomUUIDv7 } from "node:crypto";
import { inviteLimits } from "./limits.ts";
import { PHONE } from "./secrets.ts";
import { parseUuid } from "./uuid.ts";

/** An invite that can be created: checked, with what its creator left out. */
export interface ValidInvite {
  readonly id: string;
  /** Whether the id follows from the request: an invite that has it was created by a copy of that request. */
  readonly idIsDerived: boolean;
  readonly contactId: string;
  readonly sourceChannel: string;
  readonly maxUses: number;
  /** To the microsecond, as PostgreSQL counts. */
  readonly timeToLiveMicros: bigint;
  readonly voiceCodeDigits: number | null;
  readonly expectedExternalUserId: string | null;
  readonly sourceConversationId: string | null;
  readonly friendName: string | null;
  readonly guardianName: string | null;
  readonly note: string | null;
}

const CHANNEL = /^[a-z0-9_-]{1,64}$/;
// https://www.itu.int/rec/T-REC-E.164: a country's code, which begins with no 0, and 15 digits in all.
const E164 = /^\+[1-9][0-9]{1,14}$/;
const MICROS_PER_SECOND = 1_000_000n;
const NANOS_PER_MICRO = 1_000;
const MAX_NANOS = 999_999_999;
const { maxTextBytes, maxNoteBytes, maxTimeToLiveMs, defaultTimeToLiveMs } = inviteLimits;

/**
 * Checks what is to be created, which stands in the request's field `invite`. `requestId` is undefined where the
 * caller gave none: then each copy is an invite of its own. Fails with an INVALID_REQUEST that names the field.
 */
export function parseNewInvite(invite: NewInvite | undefined, requestId: string | undefined): ValidInvite {
  if (invite === undefined) throw invalidField({ field: "invite", why: "is missing: say what to create" });
  const { id } = invite;
  const sourceChannel = parseSourceChannel(invite.sourceChannel);
  const isPhone = sourceChannel === PHONE;
  return {
    id: id === "" ? makeId(requestId) : parseUuid(id, "invite.id"),
    idIsDerived: id === "" && requestId !== undefined,
    contactId: parseUuid(invite.contactId, "invite.contact_id"),
    sourceChannel,
    maxUses: parseMaxUses(invite.maxUses),
    timeToLiveMicros: parseTimeToLive(invite.timeToLive),
    voiceCodeDigits: isPhone ? inviteLimits.codeDigits : null,
    expectedExternalUserId: parseExpectedUser(invite.expectedExternalUserId, isPhone),
    sourceConversationId: parseText(invite.sourceConversationId, "source_conversation_id"),
    friendName: parseText(invite.friendName, "friend_name"),
    guardianName: parseText(invite.guardianName, "guardian_name"),
    note: parseText(invite.note, "note", maxNoteBytes),
  };
}

/**
 * The id of the invite that a request creates where its caller chose none: a UUIDv7 of the request's time, so that new
 * rows stay beside one another, and of a hash. Every copy of the request makes the same one, on either side: who its caller
 * is they may know by different names.
 */
export function inviteIdOf(requestId: string): string {
  return idFrom(requestId, `tandem.invite.v1 id ${requestId}`);
}

/** A channel's name as invites have it. Fails with an INVALID_REQUEST. */
export function parseSourceChannel(channel: string, field = "invite.source_channel"): string {
  if (!CHANNEL.test(channel)) {
    throw invalidField({ field, why: "must be 1 to 64 lower-case letters, digits, hyphens and underscores" });
  }
  if (channel === "a2a") {
    throw invalidField({
      field,
      why: "is a2a, over which nobody is invited: name a channel that people use",
    });
  }
  return channel;
}

function makeId(requestId: string | undefined): string {
  return requestId === undefined ? randomUUIDv7() : inviteIdOf(requestId);
}

function parseMaxUses(maxUses: number): number {
  if (maxUses >= 0) return maxUses === 0 ? 1 : maxUses;
  throw invalidField({ field: "invite.max_uses", why: "must be at least 1; leave it out for 1" });
}

function parseTimeToLive(duration: Duration | undefined): bigint {
  if (duration === undefined) return toMicros(defaultTimeToLiveMs);
  const { seconds, nanos } = duration;
  const field = "invite.time_to_live";
  const isOdd = Math.abs(nanos) > MAX_NANOS || (seconds > 0n && nanos < 0) || (seconds < 0n && nanos > 0);
  if (isOdd) throw invalidField({ field, why: "is no duration: its nanos don't fit its seconds" });
  // Rounded up: what is longer than nothing stays so.
  const micros = seconds * MICROS_PER_SECOND + BigInt(Math.ceil(nanos / NANOS_PER_MICRO));
  if (micros <= 0n) {
    throw invalidField({ field, why: "must be longer than nothing; leave it out for 7 days" });
  }
  if (micros > toMicros(maxTimeToLiveMs)) throw invalidField({ field, why: "must be at most 365 days" });
  return micros;
}

function parseExpectedUser(given: string, isPhone: boolean): string | null {
  const name = "expected_external_user_id";
  if (isPhone && !E164.test(given)) {
    const why =
      given === ""
        ? "is required where the channel is phone: the number"
        : "must be the number, where the channel is phone,";
    throw invalidField({ field: `invite.${name}`, why: `${why} as E.164 has it, as in +14155550123` });
  }
  return parseText(given, name);
}

function parseText(text: string, name: string, maxBytes: number = maxTextBytes): string | null {
  const field = `invite.${name}`;
  if (text === "") return null;
  const bytes = Buffer.byteLength(text);
  if (bytes > maxBytes) throw invalidField({ field, why: `has ${bytes} bytes, the limit is ${maxBytes}` });
  if (text.includes("\0")) throw invalidField({ field, why: "holds a NUL" });
  return text;
}

function toMicros(ms: number): bigint {
  return BigInt(ms) * 1_000n;
}
