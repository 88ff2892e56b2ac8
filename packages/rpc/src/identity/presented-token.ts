import type { Metadata } from "@grpc/grpc-js";
import { findToken, isToken, sha256, type Token } from "./tokens.ts";

/** The token that a call or an item came with. */
export type PresentedToken =
  | { readonly state: "none" }
  | { readonly state: "unusable"; readonly why: string }
  | { readonly state: "given"; readonly find: (tokens: readonly Token[]) => Token | undefined };

export const AUTHORIZATION_HEADER = "authorization";

const BEARER = /^Bearer +(\S+)$/i;

/** What the authorization that travelled with a call says. */
export function tokenOf(metadata: Metadata): PresentedToken {
  const given = metadata.get(AUTHORIZATION_HEADER);
  if (given.length > 1) return { state: "unusable", why: "It has more than one authorization." };
  return toToken(given[0]?.toString());
}

/** What an authorization says: nothing, or `Bearer` and a token. */
export function toToken(authorization: string | undefined): PresentedToken {
  if (authorization === undefined || authorization === "") return { state: "none" };
  const token = BEARER.exec(authorization)?.[1];
  if (token === undefined || !isToken(token))
    return { state: "unusable", why: "Its authorization is not a bearer token." };
  const hash = sha256(token);
  // A stream asks for each of its messages: it looks again only after the tokens were read again.
  let searched: readonly Token[] | undefined;
  let found: Token | undefined;
  const find = (tokens: readonly Token[]): Token | undefined => {
    if (searched !== tokens) found = findToken(tokens, hash);
    searched = tokens;
    return found;
  };
  return { state: "given", find };
}
