import { hashToken, parseTokens } from "@tandem/rpc";
import { expect, it } from "vitest";
import { addLine, isHashPrefix, removeLines, shortHash } from "./token-lines.ts";

const line = (name: string, token: string): string =>
  `${JSON.stringify({ name, sha256: hashToken(token) })}\n`;

it("adds a line that servers read, also after one without an end", () => {
  const added = { name: "gateway", sha256: hashToken("two") };
  expect(addLine(line("cli", "one"), added)).toBe(line("cli", "one") + line("gateway", "two"));
  const expires = new Date("2027-01-01T00:00:00Z");
  const text = addLine(line("cli", "one").trimEnd(), { ...added, expires });
  const { tokens, problems } = parseTokens(text, 10);
  expect(problems).toEqual([]);
  expect(tokens.map((token) => [token.name, token.expires])).toEqual([
    ["cli", Infinity],
    ["gateway", expires.getTime()],
  ]);
});

it("removes what is meant, lines that repeat it too, and leaves every other line as it is", () => {
  const others = `# whose it is\n\n${line("cli", "one")}{"name":"gateway"}\nnot JSON\n`;
  const text = line("gateway", "two") + others + line("gateway", "two") + line("gateway", "three");
  const { text: left, removed } = removeLines(text, ({ name }) => name === "gateway");
  expect(left).toBe(others);
  expect(removed).toHaveLength(3);
});

it("shows a hash by a beginning that it takes for one", () => {
  const [token] = parseTokens(line("gateway", "one"), 1).tokens;
  const short = shortHash(token!);
  expect(hashToken("one").startsWith(short) && isHashPrefix(short)).toBe(true);
  expect(["abc", "gateway", "ABCDEF01", ""].filter(isHashPrefix)).toEqual([]);
});
