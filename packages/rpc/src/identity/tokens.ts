import { createHash, timingSafeEqual } from "node:crypto";
import { checkCallerName } from "./caller-name.ts";

/** A token that is let in: not the token itself, which nobody but its holder has. */
export interface Token {
  readonly name: string;
  readonly sha256: Buffer;
  /** In milliseconds since 1970; Infinity where the line says nothing. */
  readonly expires: number;
}

/** What is wrong with a line of the file of tokens. */
export interface TokenProblem {
  readonly line: number;
  readonly message: string;
}

/** Whether a text can be a token: 16 to 1,024 of the characters that RFC 6750 allows. */
export function isToken(text: string): boolean {
  return /^[\w.~+/-]{16,1024}=*$/.test(text);
}

/** The hash of a token, as its line in the file has it: `sha256` in hexadecimal. */
export function hashToken(token: string): string {
  return sha256(token).toString("hex");
}

/**
 * Reads a file of tokens: one JSON object a line, with `name`, `sha256` and perhaps `expires`; empty lines and
 * those that begin with # are passed over. A line that can't be used is a problem, and its token is not let in.
 */
export function parseTokens(
  text: string,
  maxTokens: number,
): { readonly tokens: readonly Token[]; readonly problems: readonly TokenProblem[] } {
  const tokens: Token[] = [];
  const problems: TokenProblem[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (/^\s*(?:#|$)/.test(line)) continue;
    try {
      if (tokens.length >= maxTokens) throw new Error(`there are more than ${maxTokens} tokens`);
      const token = parseToken(line);
      if (tokens.some(({ sha256: other }) => other.equals(token.sha256))) {
        throw new Error("an earlier line has the same sha256");
      }
      tokens.push(token);
    } catch (error) {
      // JSON.parse repeats what it was given.
      const message = error instanceof SyntaxError ? "it is not a JSON object" : (error as Error).message;
      problems.push({ line: index + 1, message });
    }
  }
  return { tokens, problems };
}

/** Finds a token by its hash. How long it takes says nothing of how much of a guess was right. */
export function findToken(tokens: readonly Token[], hash: Buffer): Token | undefined {
  let found: Token | undefined;
  for (const token of tokens) if (timingSafeEqual(token.sha256, hash)) found = token;
  return found;
}

/** The hash under which a token is looked up. */
export function sha256(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

function parseToken(line: string): Token {
  const value: unknown = JSON.parse(line);
  if (typeof value !== "object" || value === null) throw new Error("it is not a JSON object");
  // A misspelt `expires` would make a token that never expires.
  const unknown = Object.keys(value).find((key) => !["name", "sha256", "expires"].includes(key));
  if (unknown !== undefined) throw new Error("it has something else than name, sha256 and expires");
  const { name, sha256: hash, expires } = value as Readonly<Record<string, unknown>>;
  if (typeof name !== "string") throw new Error("it has no name");
  if (typeof hash !== "string" || !/^[0-9a-f]{64}$/.test(hash)) {
    throw new Error("its sha256 is not 64 hexadecimal digits in lower case");
  }
  return { name: checkCallerName(name), sha256: Buffer.from(hash, "hex"), expires: parseExpires(expires) };
}

function parseExpires(expires: unknown): number {
  if (expires === undefined) return Infinity;
  const time =
    typeof expires === "string" && /^\d{4}-\d\d-\d\dT.*Z$/.test(expires) ? Date.parse(expires) : NaN;
  if (Number.isNaN(time)) throw new Error("its expires is not a time like 2026-12-31T00:00:00Z");
  return time;
}
