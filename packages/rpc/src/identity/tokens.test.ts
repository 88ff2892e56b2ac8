import { describe, expect, it } from "vitest";
import { findToken, hashToken, parseTokens, sha256 } from "./tokens.ts";

const HASH = hashToken("a-token-that-nobody-has");
const line = (fields: object): string => JSON.stringify({ name: "gateway", sha256: HASH, ...fields });

describe("a file of tokens", () => {
  it("has one token a line, and lines for the reader", () => {
    const text = `# who may call\n\n${line({})}\n  ${line({ sha256: hashToken("b"), expires: "2030-01-01T00:00:00Z" })}\n`;
    const { tokens, problems } = parseTokens(text, 10);
    expect(problems).toEqual([]);
    expect(tokens).toEqual([
      { name: "gateway", sha256: sha256("a-token-that-nobody-has"), expires: Infinity },
      { name: "gateway", sha256: sha256("b"), expires: Date.UTC(2030, 0, 1) },
    ]);
  });

  it.each([
    ["a secret in the wrong place", "is not a JSON object"],
    ["[]", "no name"],
    ["null", "is not a JSON object"],
    [line({ name: undefined }), "no name"],
    [line({ name: "Gateway" }), "a caller's name"],
    [line({ sha256: HASH.toUpperCase() }), "64 hexadecimal digits"],
    [line({ sha256: HASH.slice(1) }), "64 hexadecimal digits"],
    [line({ sha256: undefined }), "64 hexadecimal digits"],
    [line({ expire: "2030-01-01T00:00:00Z" }), "something else"],
    [line({ expires: "tomorrow" }), "a time like"],
    [line({ expires: "2030-01-01" }), "a time like"],
    [line({ expires: "2030-13-01T00:00:00Z" }), "a time like"],
    [line({ expires: null }), "a time like"],
    [line({ expires: 0 }), "a time like"],
    [`${line({})}\n${line({ name: "cli" })}`, "same sha256"],
  ])("lets nobody in by the line %s, and tells without repeating it", (bad, why) => {
    const other = line({ sha256: hashToken("other") });
    const { tokens, problems } = parseTokens(`${other}\n${bad}\n`, 10);
    const extra = bad.includes("\n") ? 1 : 0;
    expect(tokens).toHaveLength(1 + extra);
    expect(problems).toEqual([{ line: 2 + extra, message: expect.stringContaining(why) }]);
    expect(JSON.stringify(problems)).not.toContain("secret");
  });

  it("has no more than its bound", () => {
    const text = ["a", "b", "c"].map((token) => line({ sha256: hashToken(token) })).join("\n");
    const { tokens, problems } = parseTokens(text, 2);
    expect(tokens).toHaveLength(2);
    expect(problems).toEqual([{ line: 3, message: "there are more than 2 tokens" }]);
  });
});

it("finds a token wherever it stands, and no other", () => {
  const { tokens } = parseTokens(
    ["a", "b", "c"].map((token) => line({ name: token, sha256: hashToken(token) })).join("\n"),
    10,
  );
  for (const name of ["a", "b", "c"]) expect(findToken(tokens, sha256(name))?.name).toBe(name);
  expect(findToken(tokens, sha256("d"))).toBeUndefined();
  expect(findToken([], sha256("a"))).toBeUndefined();
});
