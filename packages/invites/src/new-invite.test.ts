import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { NewInviteSchema } from "@tandem/contract/tandem/invite/v1/invite";
import { HandlerError } from "@tandem/rpc";
import { describe, expect, it } from "vitest";
import { inviteIdOf, parseNewInvite, type ValidInvite } from "./new-invite.ts";

const contactId = "0198e5a0-0000-7000-8000-00000000ada0";
const requestId = "0198e5a0-1234-7abc-8def-0123456789ab";
const DAY_MICROS = 86_400_000_000n;

type Given = MessageInitShape<typeof NewInviteSchema>;

function parse(given: Given, of = requestId): ValidInvite {
  return parseNewInvite(create(NewInviteSchema, { contactId, sourceChannel: "telegram", ...given }), of);
}

describe("a new invite", () => {
  it("is for one use within 7 days where its creator says no more", () => {
    expect(parse({})).toEqual({
      id: inviteIdOf(requestId),
      idIsDerived: true,
      contactId,
      sourceChannel: "telegram",
      maxUses: 1,
      timeToLiveMicros: 7n * DAY_MICROS,
      voiceCodeDigits: null,
      expectedExternalUserId: null,
      sourceConversationId: null,
      friendName: null,
      guardianName: null,
      note: null,
    });
  });

  it("keeps every text as it was given", () => {
    const texts = {
      note: " a note\n",
      friendName: "Ada ",
      guardianName: "Grace",
      sourceConversationId: " C-1",
      expectedExternalUserId: "@Ada ",
    };
    expect(parse(texts)).toMatchObject(texts);
  });

  it("has texts as long as they may be", () => {
    const texts = { note: "x".repeat(4_096), friendName: "é".repeat(256) };
    expect(parse(texts)).toMatchObject(texts);
  });

  it("on the phone is for one number, and has 6 digits to speak", () => {
    const given = { sourceChannel: "phone", expectedExternalUserId: "+14155550123" };
    expect(parse(given)).toMatchObject({ ...given, voiceCodeDigits: 6 });
  });

  it.each([
    [{ seconds: 0n, nanos: 1 }, 1n],
    [{ seconds: 1n, nanos: 1_000 }, 1_000_001n],
    [{ seconds: 365n * 86_400n, nanos: 0 }, 365n * DAY_MICROS],
  ])("lives for as long as is said, to the microsecond (%#)", (timeToLive, micros) => {
    expect(parse({ timeToLive }).timeToLiveMicros).toBe(micros);
  });

  const phone = { sourceChannel: "phone" };
  const digits = "must be the number, where the channel is phone, as E.164 has it, as in +14155550123";
  it.each<[string, Given, string]>([
    ["invite.id", { id: "1" }, "must be a UUID: 8, 4, 4, 4 and 12 hexadecimal digits"],
    ["invite.contact_id", { contactId: "" }, "must be a UUID: 8, 4, 4, 4 and 12 hexadecimal digits"],
    [
      "invite.source_channel",
      { sourceChannel: "" },
      "must be 1 to 64 lower-case letters, digits, hyphens and underscores",
    ],
    [
      "invite.source_channel",
      { sourceChannel: "Slack" },
      "must be 1 to 64 lower-case letters, digits, hyphens and underscores",
    ],
    [
      "invite.source_channel",
      { sourceChannel: "s".repeat(65) },
      "must be 1 to 64 lower-case letters, digits, hyphens and underscores",
    ],
    [
      "invite.source_channel",
      { sourceChannel: "a2a" },
      "is a2a, over which nobody is invited: name a channel that people use",
    ],
    ["invite.max_uses", { maxUses: -1 }, "must be at least 1; leave it out for 1"],
    [
      "invite.time_to_live",
      { timeToLive: { seconds: 0n, nanos: 0 } },
      "must be longer than nothing; leave it out for 7 days",
    ],
    [
      "invite.time_to_live",
      { timeToLive: { seconds: -1n, nanos: 0 } },
      "must be longer than nothing; leave it out for 7 days",
    ],
    [
      "invite.time_to_live",
      { timeToLive: { seconds: 365n * 86_400n, nanos: 1 } },
      "must be at most 365 days",
    ],
    [
      "invite.time_to_live",
      { timeToLive: { seconds: 1n, nanos: -1 } },
      "is no duration: its nanos don't fit its seconds",
    ],
    [
      "invite.time_to_live",
      { timeToLive: { seconds: 1n, nanos: 1_000_000_000 } },
      "is no duration: its nanos don't fit its seconds",
    ],
    [
      "invite.expected_external_user_id",
      phone,
      "is required where the channel is phone: the number as E.164 has it, as in +14155550123",
    ],
    ["invite.expected_external_user_id", { ...phone, expectedExternalUserId: "4155550123" }, digits],
    ["invite.expected_external_user_id", { ...phone, expectedExternalUserId: "+1 415 555 0123" }, digits],
    ["invite.expected_external_user_id", { ...phone, expectedExternalUserId: "+0155550123" }, digits],
    ["invite.expected_external_user_id", { ...phone, expectedExternalUserId: "+1234567890123456" }, digits],
    ["invite.friend_name", { friendName: "é".repeat(257) }, "has 514 bytes, the limit is 512"],
    ["invite.guardian_name", { guardianName: "a\0b" }, "holds a NUL"],
    [
      "invite.source_conversation_id",
      { sourceConversationId: "x".repeat(513) },
      "has 513 bytes, the limit is 512",
    ],
    ["invite.note", { note: "x".repeat(4_097) }, "has 4097 bytes, the limit is 4096"],
  ])("is refused for its %s (%#)", (field, given, why) => {
    const failure = failureOf(() => parse(given));
    expect(failure.reason).toBe("INVALID_REQUEST");
    expect(failure.message).toBe(`${field} ${why}.`);
    expect(failure.fields).toEqual([{ field, description: why }]);
  });

  it("is refused where there is none", () => {
    expect(failureOf(() => parseNewInvite(undefined, requestId)).message).toBe(
      "invite is missing: say what to create.",
    );
  });
});

describe("the id of an invite", () => {
  it("is what its creator chose, in lower case", () => {
    const chosen = parse({ id: contactId.toUpperCase() });
    expect([chosen.id, chosen.idIsDerived]).toEqual([contactId, false]);
  });

  it("is the same for each copy of a request, a UUIDv7 of its time, and another request's another", () => {
    const { id } = parse({});
    expect(id).toMatch(/^0198e5a0-1234-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(parse({}).id).toBe(id);
    expect(inviteIdOf(requestId.replace("abc", "abd"))).not.toBe(id);
  });

  it("is a new one each time where there is no request_id", () => {
    const ids = [1, 2].map(() =>
      parseNewInvite(create(NewInviteSchema, { contactId, sourceChannel: "x" }), undefined),
    );
    expect(ids[0]?.id).not.toBe(ids[1]?.id);
    expect(ids[0]?.idIsDerived).toBe(false);
  });
});

function failureOf(run: () => unknown): HandlerError {
  try {
    run();
  } catch (error) {
    if (error instanceof HandlerError) return error;
    throw error;
  }
  throw new Error("It did not fail.");
}
