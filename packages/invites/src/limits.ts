/** Every number that bounds an invite, in one place. */
export const inviteLimits = {
  /** How long an invite lives where its creator doesn't say, and at the most. */
  defaultTimeToLiveMs: 7 * 24 * 3_600_000,
  maxTimeToLiveMs: 365 * 24 * 3_600_000,
  /** In UTF-8. */
  maxNoteBytes: 4_096,
  /** Of each other text: names, and ids as channels give them. */
  maxTextBytes: 512,
  codeDigits: 6,
  /** What `voice_code_digits` may be. */
  minVoiceCodeDigits: 4,
  maxVoiceCodeDigits: 12,
  /** How many codes are tried for an invite before it is said that its channel has none left. */
  maxDraws: 64,
  /** Keys that are good at a time: each costs a hash for whatever is redeemed. */
  maxKeys: 16,
  minKeyBytes: 32,
  maxKeyBytes: 128,
} as const;
