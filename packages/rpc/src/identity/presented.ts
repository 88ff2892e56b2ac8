import type { Metadata } from "@grpc/grpc-js";
import type { ArrivingCall } from "./admission.ts";
import type { PeerCertificate } from "node:tls";
import { callerOfNames, CallerNameError } from "./caller-name.ts";
import { findToken, isToken, sha256, type Token } from "./tokens.ts";

/** The certificate that a call's connection came with, once TLS has accepted it. */
export type PresentedCertificate =
  | { readonly state: "none"; readonly why: string }
  | { readonly state: "unusable"; readonly why: string }
  | { readonly state: "accepted"; readonly caller: string; readonly validUntil: number };

/** The token that a call or an item came with. */
export type PresentedToken =
  | { readonly state: "none" }
  | { readonly state: "unusable"; readonly why: string }
  | { readonly state: "given"; readonly find: (tokens: readonly Token[]) => Token | undefined };

export const AUTHORIZATION_HEADER = "authorization";

const BEARER = /^Bearer +(\S+)$/i;
const NO_CERTIFICATE = "Its connection has no certificate.";

/** What the certificate of a call's connection says. grpc-js gives none that no authority of the server issued. */
export function certificateOf(call: ArrivingCall): PresentedCertificate {
  const connection = connectionOf(call);
  const known = connection === undefined ? undefined : certificates.get(connection);
  if (known !== undefined) return known;
  const certificate = toPresented(call.getAuthContext().sslPeerCertificate, connection);
  if (connection !== undefined) certificates.set(connection, certificate);
  return certificate;
}

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

// What it gives for a connection never changes, and Node takes 40 µs to find it out.
const certificates = new WeakMap<object, PresentedCertificate>();

interface Connection {
  readonly socket?: { readonly authorizationError?: unknown };
}

// grpc-js keeps the connection to itself. Without it there is no cache, and a reason less in a message.
function connectionOf(call: ArrivingCall): Connection | undefined {
  return (call as { readonly stream?: { readonly session?: Connection } }).stream?.session;
}

function toPresented(
  certificate: PeerCertificate | undefined,
  connection: Connection | undefined,
): PresentedCertificate {
  if (certificate === undefined) {
    const reason = connection?.socket?.authorizationError;
    // OpenSSL's word for a handshake in which none was shown.
    const shown = typeof reason === "string" && reason !== "UNABLE_TO_GET_ISSUER_CERT";
    return { state: "none", why: shown ? `Its certificate is not accepted (${reason}).` : NO_CERTIFICATE };
  }
  try {
    const caller = callerOfNames(certificate.subjectaltname);
    return { state: "accepted", caller, validUntil: Date.parse(certificate.valid_to) };
  } catch (error) {
    if (!(error instanceof CallerNameError)) throw error;
    return { state: "unusable", why: `Its certificate can't be used: ${error.message}.` };
  }
}
