import * as fc from "fast-check";
import type { InviteRow } from "../invite-row.ts";
import { inviteLimits } from "../limits.ts";

const id = fc.uuid().map((text) => text.toLowerCase());
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
// PostgreSQL has no NUL, and half a surrogate pair is no text.
const text = fc
  .string({ minLength: 1, maxLength: 40, unit: "binary" })
  .filter((value) => !value.includes("\0") && value.isWellFormed());
const orNull = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(values, { nil: null });
const int4 = { min: 1, max: 2 ** 31 - 1 };

/** Every microsecond of the years that the contract has. */
export const instant: fc.Arbitrary<string> = fc
  .tuple(fc.bigInt({ min: -62_135_596_800n, max: 253_402_300_799n }), fc.integer({ min: 0, max: 999_999 }))
  .map(([seconds, micros]) => {
    const whole = new Date(Number(seconds) * 1_000).toISOString().slice(0, 19);
    const fraction = micros === 0 ? "" : `.${String(micros).padStart(6, "0").replace(/0+$/, "")}`;
    return `${whole}${fraction}+00:00`;
  });

/** Any row that the tables can hold, its times as JSON has them. */
export const arbitraryRow: fc.Arbitrary<InviteRow> = fc
  .record({
    id,
    contact_id: id,
    source_channel: fc.stringMatching(/^[a-z0-9_-]{1,64}$/),
    key_id: fc.stringMatching(/^[a-z0-9]{1,64}$/),
    token_hash: orNull(hash),
    invite_code_hash: orNull(hash),
    voice_code_hash: orNull(hash),
    voice_code_digits: orNull(
      fc.integer({ min: inviteLimits.minVoiceCodeDigits, max: inviteLimits.maxVoiceCodeDigits }),
    ),
    expected_external_user_id: orNull(text),
    source_conversation_id: orNull(text),
    friend_name: orNull(text),
    guardian_name: orNull(text),
    note: orNull(text),
    max_uses: fc.integer(int4),
    use_count: fc.integer(int4),
    expires_at: instant,
    status: fc.constantFrom("active", "redeemed", "revoked", "expired"),
    redeemed_by_external_user_id: orNull(text),
    redeemed_by_external_chat_id: orNull(text),
    redeemed_at: orNull(instant),
    version: fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }),
    created_at: instant,
    updated_at: instant,
  })
  .map((row) => ({ ...row, use_count: row.use_count % (row.max_uses + 1) }));
