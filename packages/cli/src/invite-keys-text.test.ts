import { expect, it } from "vitest";
import { CommandError } from "./command-error.ts";
import { makeKey, writeKeys } from "@tandem/invites";
import { readKeys } from "./invite-keys-text.ts";

const now = new Date("2026-11-21T23:59:59Z");

it("a key is named after its day, and those that follow on it are numbered", () => {
  const first = makeKey([], now);
  const second = makeKey([first], now);
  const third = makeKey([second, first], now);
  expect([first, second, third].map(({ id }) => id)).toEqual(["2026-11-21", "2026-11-21-2", "2026-11-21-3"]);
  expect(new Set([first, second].flatMap(({ derive, hash }) => [derive, hash])).size).toBe(4);
});

it("what is written is read as it was", () => {
  const key = makeKey([], now);
  const keys = { current: key.id, keys: [key, makeKey([key], now)] };
  expect(readKeys(writeKeys(keys), "keys")).toEqual(keys);
});

it("what can't be read is a sentence that names the file and the key", () => {
  const key = { ...makeKey([], now), derive: "AAAA" };
  const text = writeKeys({ current: key.id, keys: [key] });
  expect(() => readKeys(text, ".tandem/invite-keys")).toThrow(
    new CommandError(
      '.tandem/invite-keys can\'t be used as the keys of invites: derive of the key "2026-11-21" has 3 bytes, and must have from 32 to 128. Nothing was changed.',
    ),
  );
});
