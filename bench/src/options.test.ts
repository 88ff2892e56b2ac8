import { expect, it } from "vitest";
import { OptionError, parseOptions } from "./options.ts";

it("measures every row where nothing is said", () => {
  expect(parseOptions([])).toMatchObject({
    rows: undefined,
    rounds: 5,
    intervalMs: 2_000,
    warmUpMs: 3_000,
    concurrency: [1, 16, 64, 256],
    connections: 10,
    mirrorRows: 100_000,
    synchronousCommit: "on",
    soakMs: undefined,
  });
});

it("takes what is said", () => {
  const args = ["--rows", "pair,policy", "--rounds=7", "--seconds", "0.1", "--concurrency=1,16"];
  expect(parseOptions([...args, "--synchronous-commit=off", "--mirror-rows=500"])).toMatchObject({
    rows: ["pair", "policy"],
    rounds: 7,
    intervalMs: 100,
    concurrency: [1, 16],
    synchronousCommit: "off",
    mirrorRows: 500,
  });
  expect(parseOptions(["--soak", "30m"])).toMatchObject({ soakMs: 1_800_000, concurrency: [16] });
});

it.each([
  ["--rounds=0", "--rounds takes a number from 1 to 1000, not 0."],
  ["--rounds=1.5", "--rounds takes a number from 1 to 1000, not 1.5."],
  ["--seconds=", "--seconds takes a number from 0.05 to 600, not ."],
  ["--concurrency=1,many", "--concurrency takes a number from 1 to 4096, not many."],
  ["--mirror-rows=0", "--mirror-rows takes a number from 1 to 10000000, not 0."],
  ["--synchronous-commit=yes", "--synchronous-commit is on or off, not yes."],
  ["--soak=forever", "--soak takes a time such as 90s, 30m or 2h, not forever."],
  ["--nonsense", "Unknown option '--nonsense'"],
])("refuses %s with a sentence", (argument, sentence) => {
  expect(() => parseOptions([argument])).toThrow(OptionError);
  expect(() => parseOptions([argument])).toThrow(sentence);
});
