import { describe, expect, it } from "vitest";
import { inviteLimits } from "./limits.ts";
import {
  deriveSecrets,
  hashesOf,
  hashSecrets,
  isSameHash,
  type SecretHashes,
  secretsOf,
  type ShownSecret,
} from "./secrets.ts";
import { keysOf } from "./testing/test-keys.ts";

const id = "0198e5a0-0000-7000-8000-00000000ada0";
const chat = { id, sourceChannel: "telegram", voiceCodeDigits: null };
const phone = { id, sourceChannel: "phone", voiceCodeDigits: 6 };
const keys = keysOf("new", "old");
const old = keysOf("old");

describe("the secrets of an invite", () => {
  it("are what they always were: whoever was told one can still use it", () => {
    const chatSecrets = deriveSecrets(keys.current, chat, 0);
    const phoneSecrets = deriveSecrets(keys.current, phone, 0);
    // Worked out by another program, from what is said of the derivation.
    expect([chatSecrets, phoneSecrets]).toEqual([
      { token: "FBGSQqDo3l8bQe4vZnDyAKKQHe_483ZmmRo23_N7qGs", code: "369625" },
      { voiceCode: "476406" },
    ]);
    const { tokenHash, codeHash } = hashSecrets(keys.current, chatSecrets);
    const { voiceCodeHash } = hashSecrets(keys.current, phoneSecrets);
    expect(
      [tokenHash, codeHash, voiceCodeHash].map((hash) => Buffer.from(hash ?? []).toString("hex")),
    ).toEqual([
      "4de0ba266c81a01a3aad7e7252d942b038cf896407738f519ca7c729e84283d6",
      "307898d846e16e1085dee9d33c72cc0df34ce9960a6e5df57fcc4438240c8668",
      "312a0724310410b7cc6f72c35fd29c837013fc928bcc0e2a358eca553f8aac2b",
    ]);
  });

  it("are a token of 32 bytes and a code, or on the phone a code to speak and nothing else", () => {
    expect(deriveSecrets(keys.current, chat, 0)).toEqual({
      token: expect.stringMatching(/^[\w-]{43}$/) as string,
      code: expect.stringMatching(/^\d{6}$/) as string,
    });
    expect(deriveSecrets(keys.current, { ...phone, voiceCodeDigits: 8 }, 0)).toEqual({
      voiceCode: expect.stringMatching(/^\d{8}$/) as string,
    });
  });

  it("differ by key and invite; another draw is another code, and the token stays", () => {
    const first = deriveSecrets(keys.current, chat, 0);
    const others = [
      deriveSecrets(old.current, chat, 0),
      deriveSecrets(keys.current, { ...chat, id: id.replace("ada0", "ada1") }, 0),
    ];
    for (const other of others) {
      expect(other.token).not.toBe(first.token);
      expect(other.code).not.toBe(first.code);
    }
    const next = deriveSecrets(keys.current, chat, 1);
    expect(next.token).toBe(first.token);
    expect(next.code).not.toBe(first.code);
  });

  it("are codes of which none is likelier than another", () => {
    const draws = 50_000;
    const counts = Array.from({ length: 6 }, () => new Map<string, number>());
    for (let draw = 0; draw < draws; draw += 1) {
      const { code = "" } = deriveSecrets(keys.current, chat, draw);
      for (const [at, digit] of code.split("").entries())
        counts[at]?.set(digit, (counts[at].get(digit) ?? 0) + 1);
    }
    for (const ofPlace of counts) {
      const expected = draws / 10;
      const chiSquare = "0123456789"
        .split("")
        .map((digit) => ((ofPlace.get(digit) ?? 0) - expected) ** 2 / expected)
        .reduce((sum, value) => sum + value, 0);
      // 9 degrees of freedom: more than this once in 10,000. The draws are the same in each run.
      expect(chiSquare).toBeLessThan(33.7);
    }
  });

  it.each([3, 13, 6.5])("are not derived for a voice code of %s digits", (voiceCodeDigits) => {
    expect(() => deriveSecrets(keys.current, { ...phone, voiceCodeDigits }, 0)).toThrow(
      "from 4 to 12 digits",
    );
  });
});

describe("what is stored of them", () => {
  it.each([chat, phone])("is found by each key that is live, on $sourceChannel", (subject) => {
    const secrets = deriveSecrets(old.current, subject, 0);
    const stored = hashSecrets(old.current, secrets);
    const shown: readonly (readonly [ShownSecret, Uint8Array | null])[] =
      secrets.code === undefined
        ? [[{ kind: "voice_code", secret: secrets.voiceCode }, stored.voiceCodeHash]]
        : [
            [{ kind: "token", secret: secrets.token }, stored.tokenHash],
            [{ kind: "code", secret: secrets.code }, stored.codeHash],
          ];
    for (const [secret, hash] of shown) {
      const found = hashesOf(keys, secret);
      expect(found.map(({ keyId }) => keyId)).toEqual(["new", "old"]);
      expect(found.map((one) => isSameHash(one.hash, hash))).toEqual([false, true]);
    }
  });

  it("is another hash for another kind of secret, or key", () => {
    const hashes = [
      ...hashesOf(keys, { kind: "token", secret: "123456" }),
      ...hashesOf(keys, { kind: "code", secret: "123456" }),
      ...hashesOf(keys, { kind: "voice_code", secret: "123456" }),
    ].map(({ hash }) => hash.toString("hex"));
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  it("is the same or not, whatever its length is, and nothing is the same as nothing", () => {
    expect(isSameHash(Buffer.from("ab"), Buffer.from("ab"))).toBe(true);
    expect(isSameHash(Buffer.from("ab"), Buffer.from("ac"))).toBe(false);
    expect(isSameHash(Buffer.from("ab"), Buffer.from("abc"))).toBe(false);
    expect(isSameHash(null, null)).toBe(false);
  });
});

describe("secrets that are told again", () => {
  it.each([0, 1, inviteLimits.maxDraws - 1])(
    "are those of draw %i that was stored, after its key was replaced",
    (draw) => {
      for (const subject of [chat, phone]) {
        const secrets = deriveSecrets(old.current, subject, draw);
        const stored = hashSecrets(old.current, secrets);
        expect(secretsOf(keys, subject, stored)).toEqual(secrets);
      }
    },
  );

  it("are none where the key is gone, where another key has its name, and for what was stored otherwise", () => {
    const stored = hashSecrets(old.current, deriveSecrets(old.current, chat, 0));
    const others: readonly SecretHashes[] = [
      { ...stored, keyId: "gone" },
      { ...stored, keyId: "new" },
      { ...stored, tokenHash: stored.codeHash },
      { ...stored, codeHash: null },
    ];
    for (const other of others) expect(secretsOf(keys, chat, other)).toBeUndefined();
    const late = deriveSecrets(old.current, chat, inviteLimits.maxDraws);
    expect(secretsOf(keys, chat, hashSecrets(old.current, late))).toBeUndefined();
  });
});
