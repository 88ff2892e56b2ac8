import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { InviteKeysError, parseInviteKeys } from "./keys.ts";
import { writtenKey } from "./testing/test-keys.ts";

const one = writtenKey("one");
const two = writtenKey("two");
const textOf = (value: unknown): string => JSON.stringify(value);

describe("a file of keys", () => {
  it("has one that is current, and others that are live beside it", () => {
    const { current, live } = parseInviteKeys(textOf({ current: "two", keys: [one, two] }));
    expect(current.id).toBe("two");
    expect(current.hashKey.export().toString("base64url")).toBe(two.hash);
    expect(live.map(({ id }) => id)).toEqual(["one", "two"]);
  });

  it("gives keys that nothing which writes values out shows", () => {
    const keys = parseInviteKeys(textOf({ current: "one", keys: [one, two] }));
    const shown = [inspect(keys, { showHidden: true, depth: Infinity, getters: true }), textOf(keys)];
    for (const secret of [one.derive, one.hash, two.derive, two.hash]) {
      const hex = Buffer.from(secret, "base64url").toString("hex");
      for (const text of shown) expect(text).not.toMatch(new RegExp(`${secret}|${hex}`));
    }
  });

  const short = Buffer.alloc(31, "x").toString("base64url");
  it.each([
    ["nothing", "", "it is not JSON"],
    ["a list", "[]", "it is not a JSON object"],
    ["no keys", textOf({ current: "one" }), "it has no list of keys"],
    ["an empty list", textOf({ current: "one", keys: [] }), "its current is not the id of one of its keys"],
    ["no current", textOf({ keys: [one] }), "its current is not the id of one of its keys"],
    [
      "a field too many",
      textOf({ current: "one", keys: [one], old: [] }),
      "it has something else than current, keys",
    ],
    [
      "a key's field too many",
      textOf({ current: "one", keys: [{ ...one, secret: "" }] }),
      "keys[0] has something else than id, derive, hash",
    ],
    [
      "two keys of one id",
      textOf({ current: "one", keys: [one, { ...two, id: "one" }] }),
      'there are two keys "one"',
    ],
    [
      "an id that would need quoting",
      textOf({ current: "one", keys: [one, { ...two, id: "Two " }] }),
      "the id of keys[1] is not 1 to 64 lower-case letters, digits, dots, hyphens and underscores",
    ],
    [
      "a short secret",
      textOf({ current: "one", keys: [one, { ...two, hash: short }] }),
      'hash of the key "two" has 31 bytes, and must have from 32 to 128',
    ],
    [
      "no secret",
      textOf({ current: "one", keys: [{ ...one, derive: undefined }] }),
      'derive of the key "one" is not in base64url',
    ],
    [
      "another encoding",
      textOf({ current: "one", keys: [{ ...one, derive: `${one.derive}+/` }] }),
      'derive of the key "one" is not in base64url',
    ],
    [
      "one secret for both purposes",
      textOf({ current: "one", keys: [{ ...one, hash: one.derive }] }),
      'hash of the key "one" is the secret of another key as well, or twice its own',
    ],
    [
      "more keys than are looked up",
      textOf({ current: "k1", keys: Array.from({ length: 17 }, (_, index) => writtenKey(`k${index}`)) }),
      "it has more than 16 keys",
    ],
  ])("can't be used with %s, and says which key is meant, and never what it is", (_, text, message) => {
    expect(() => parseInviteKeys(text)).toThrow(new InviteKeysError(message));
  });
});
