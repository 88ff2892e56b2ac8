import { parseTokens, type Token } from "@tandem/rpc";

/** What is written down of a token that is made. */
export interface NewToken {
  readonly name: string;
  readonly sha256: string;
  readonly expires?: Date;
}

/** The file's text with one more line. */
export function addLine(text: string, { name, sha256, expires }: NewToken): string {
  const before = text === "" || text.endsWith("\n") ? text : `${text}\n`;
  return `${before}${JSON.stringify({ name, sha256, expires })}\n`;
}

/**
 * The file's text without the tokens that are meant, and those. Every other line stays as it is, comments and what
 * servers can't use included.
 */
export function removeLines(
  text: string,
  isMeant: (token: Token) => boolean,
): { readonly text: string; readonly removed: readonly Token[] } {
  const removed: Token[] = [];
  const left = text.split("\n").filter((line) => {
    // By itself: a line that repeats an earlier one counts for servers as soon as that one is gone.
    const [token] = parseTokens(line, 1).tokens;
    if (token === undefined || !isMeant(token)) return true;
    removed.push(token);
    return false;
  });
  return { text: left.join("\n"), removed };
}

/** A token's hash as people are shown it, and may write it. */
export function shortHash(token: Token): string {
  return token.sha256.toString("hex").slice(0, SHORT_HASH);
}

/** Whether a text is the beginning of a hash, long enough to mean one token. */
export function isHashPrefix(text: string): boolean {
  return /^[0-9a-f]{8,64}$/.test(text);
}

const SHORT_HASH = 12;
