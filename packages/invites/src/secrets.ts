import { createHmac, type KeyObject, timingSafeEqual } from "node:crypto";
import type { InviteKey, InviteKeys } from "./keys.ts";
import { inviteLimits } from "./limits.ts";

/** What an invite is redeemed with. On `phone` that is a voice code, on every other channel a token or a code. */
export type Secrets =
  | { readonly token: string; readonly code: string; readonly voiceCode?: never }
  | { readonly voiceCode: string; readonly token?: never; readonly code?: never };

/** What is kept of them, under one key. */
export interface SecretHashes {
  readonly keyId: string;
  readonly tokenHash: Uint8Array | null;
  readonly codeHash: Uint8Array | null;
  readonly voiceCodeHash: Uint8Array | null;
}

/** What secrets are derived from, beside the key. */
export interface SecretsSubject {
  /** The invite's, as PostgreSQL writes it: in lower case. */
  readonly id: string;
  readonly sourceChannel: string;
  /** Where the channel is `phone`. */
  readonly voiceCodeDigits: number | null;
}

/** A secret as somebody shows it. */
export interface ShownSecret {
  readonly kind: "token" | "code" | "voice_code";
  readonly secret: string;
}

/** A hash to look up, and the key that it was made with. */
export interface LookUpHash {
  readonly keyId: string;
  readonly hash: Buffer;
}

/** The channel whose invites are redeemed by speaking. */
export const PHONE = "phone";

/**
 * The secrets of an invite. The same key, invite and draw give the same ones, always: a change of this function would
 * change what creators were told. The token is the same in every draw; another draw is for a code that is taken.
 */
export function deriveSecrets(key: InviteKey, subject: SecretsSubject, draw: number): Secrets {
  const { id, sourceChannel, voiceCodeDigits } = subject;
  if (sourceChannel === PHONE) {
    const digits = voiceCodeDigits ?? inviteLimits.codeDigits;
    return { voiceCode: toCode(digits, (block) => mac(key.deriveKey, "voice_code", [id, draw, block])) };
  }
  return {
    token: mac(key.deriveKey, "token", [id]).toString("base64url"),
    code: toCode(inviteLimits.codeDigits, (block) => mac(key.deriveKey, "code", [id, draw, block])),
  };
}

/** What is stored of secrets, for look-up. */
export function hashSecrets(key: InviteKey, secrets: Secrets): SecretHashes {
  const { token, code, voiceCode } = secrets;
  const hash = (shown: ShownSecret): Buffer => hashOf(key, shown);
  return {
    keyId: key.id,
    tokenHash: token === undefined ? null : hash({ kind: "token", secret: token }),
    codeHash: code === undefined ? null : hash({ kind: "code", secret: code }),
    voiceCodeHash: voiceCode === undefined ? null : hash({ kind: "voice_code", secret: voiceCode }),
  };
}

/** What the invite that a secret belongs to is found by: a hash for each key that is live. */
export function hashesOf(keys: InviteKeys, shown: ShownSecret): readonly LookUpHash[] {
  return keys.live.map((key) => ({ keyId: key.id, hash: hashOf(key, shown) }));
}

/** Whether two hashes are the same. How long it takes says nothing of how much of them is. */
export function isSameHash(one: Uint8Array | null, other: Uint8Array | null): boolean {
  if (one === null || other === null || one.length !== other.length) return false;
  return timingSafeEqual(one, other);
}

/**
 * The secrets that an invite was created with, found again by what is stored of them. Undefined where its key is not
 * live any more, or what is stored was not made by `deriveSecrets`.
 */
export function secretsOf(
  keys: InviteKeys,
  subject: SecretsSubject,
  stored: SecretHashes,
): Secrets | undefined {
  const key = keys.live.find(({ id }) => id === stored.keyId);
  if (key === undefined) return undefined;
  for (let draw = 0; draw < inviteLimits.maxDraws; draw += 1) {
    const secrets = deriveSecrets(key, subject, draw);
    const hashes = hashSecrets(key, secrets);
    const found =
      subject.sourceChannel === PHONE
        ? isSameHash(hashes.voiceCodeHash, stored.voiceCodeHash)
        : isSameHash(hashes.codeHash, stored.codeHash) && isSameHash(hashes.tokenHash, stored.tokenHash);
    if (found) return secrets;
  }
  return undefined;
}

// The channel is no part of it: who shows a code of another channel is to be told so.
function hashOf(key: InviteKey, { kind, secret }: ShownSecret): Buffer {
  return mac(key.hashKey, `hash of ${kind}`, [secret]);
}

// The length before each part keeps "ab", "c" apart from "a", "bc".
function mac(key: KeyObject, purpose: string, parts: readonly (string | number)[]): Buffer {
  const hmac = createHmac("sha256", key);
  for (const part of ["tandem.invite.v1", purpose, ...parts]) {
    const bytes = Buffer.from(String(part));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hmac.update(length).update(bytes);
  }
  return hmac.digest();
}

const CHUNK_BYTES = 6;
const CHUNK_VALUES = 2 ** (8 * CHUNK_BYTES);

/** A number of so many digits, each as likely as every other: what would make the first ones likelier is passed over. */
function toCode(digits: number, blockOf: (block: number) => Buffer): string {
  const { minVoiceCodeDigits: min, maxVoiceCodeDigits: max } = inviteLimits;
  if (!Number.isInteger(digits) || digits < min || digits > max) {
    throw new RangeError(`A code has from ${min} to ${max} digits, not ${digits}.`);
  }
  const codes = 10 ** digits;
  const even = CHUNK_VALUES - (CHUNK_VALUES % codes);
  for (let block = 0; ; block += 1) {
    const bytes = blockOf(block);
    for (let at = 0; at + CHUNK_BYTES <= bytes.length; at += CHUNK_BYTES) {
      const value = bytes.readUIntBE(at, CHUNK_BYTES);
      if (value < even) return String(value % codes).padStart(digits, "0");
    }
  }
}
