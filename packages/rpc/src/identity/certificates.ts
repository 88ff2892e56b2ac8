import { X509Certificate } from "node:crypto";
import type { ServerHttp2Session } from "node:http2";
import type { PeerCertificate } from "node:tls";
import type { ArrivingCall } from "./admission.ts";
import { callerOfNames, CallerNameError } from "./caller-name.ts";
import { type Authorities, vouchedUntil, without } from "./vouched.ts";

/** The certificate that a call's connection came with, once TLS has accepted it. */
export type PresentedCertificate =
  | { readonly state: "none"; readonly why: string }
  | { readonly state: "unusable"; readonly why: string }
  | {
      readonly state: "accepted";
      readonly caller: string;
      /** Why it doesn't count any more; undefined for as long as it does. */
      readonly ended: () => string | undefined;
    };

/** The certificates that a server's callers came with. */
export interface Certificates {
  /** What the certificate of a call's connection says. grpc-js gives none that no authority of the server issued. */
  of(call: ArrivingCall): PresentedCertificate;
  /** Holds every connection that is there against the authorities of now. */
  trust(authorities: Authorities): void;
}

/** What is said of a connection without one. */
export const NO_CERTIFICATE: PresentedCertificate = {
  state: "none",
  why: "Its connection has no certificate.",
};

const EXPIRED = "Its certificate has expired.";
const NOT_VOUCHED =
  "The authority that issued its connection's certificate is not trusted any more: connect again.";

// Of those that were trusted once, as many as this are remembered.
const MAX_FORMER = 100;

/**
 * Knows whose a server's connections are. A certificate counts as long as an authority of now vouches for it. When
 * none does any more, its connection is closed as soon as the calls that were let in are through. What else comes by it
 * is refused by HTTP/2 unseen: whoever has another certificate by then sends it over a new connection by itself.
 *
 * Node doesn't give a server what a caller sent along between its certificate and the authority's. Such a certificate
 * counts as long as every authority of its first call is there: when any is taken away, it has to connect again.
 */
export function createCertificates(authorities: Authorities): Certificates {
  let trusted: Trusted = { now: authorities, former: [] };
  // What is said of a connection's certificate changes with the authorities alone, and finding it out takes 0.2 ms.
  const known = new Map<Connection, Judged>();
  return {
    of(call) {
      const connection = connectionOf(call);
      const before = connection === undefined ? undefined : known.get(connection);
      if (before !== undefined) return before.presented;
      const judged = toJudged(call.getAuthContext().sslPeerCertificate, connection, trusted);
      if (connection !== undefined && !connection.destroyed) {
        known.set(connection, judged);
        connection.once("close", () => known.delete(connection));
      }
      return judged.presented;
    },
    trust(next) {
      const former = without([...trusted.now, ...trusted.former], next);
      trusted = { now: next, former: former.slice(0, MAX_FORMER) };
      for (const judged of known.values()) judged.hold(next);
    },
  };
}

const holdNothing = (): void => {};

interface Trusted {
  readonly now: Authorities;
  readonly former: Authorities;
}

interface Judged {
  readonly presented: PresentedCertificate;
  /** Ends it where these authorities don't vouch for it. */
  hold(now: Authorities): void;
}

type Connection = Pick<ServerHttp2Session, "once" | "close" | "destroyed"> & {
  readonly socket: { readonly authorizationError?: unknown };
};

// grpc-js keeps the connection to itself. Without it each call is a first one.
function connectionOf(call: ArrivingCall): Connection | undefined {
  return (call as { readonly stream?: { readonly session?: Connection } }).stream?.session;
}

function toJudged(
  certificate: PeerCertificate | undefined,
  connection: Connection | undefined,
  trusted: Trusted,
): Judged {
  if (certificate === undefined) {
    const reason = connection?.socket.authorizationError;
    // OpenSSL's word for a handshake in which none was shown.
    if (typeof reason !== "string" || reason === "UNABLE_TO_GET_ISSUER_CERT") {
      return { presented: NO_CERTIFICATE, hold: holdNothing };
    }
    const why = `Its certificate is not accepted (${reason}).`;
    return { presented: { state: "none", why }, hold: holdNothing };
  }
  let caller: string;
  try {
    caller = callerOfNames(certificate.subjectaltname);
  } catch (error) {
    if (!(error instanceof CallerNameError)) throw error;
    const why = `Its certificate can't be used: ${error.message}.`;
    return { presented: { state: "unusable", why }, hold: holdNothing };
  }
  const own = new X509Certificate(certificate.raw);
  // Not even with those of before, and yet TLS has accepted it.
  const isIndirect = vouchedUntil(own, [...trusted.now, ...trusted.former]) === 0;
  let until = own.validToDate.getTime();
  let why = EXPIRED;
  const hold = (now: Authorities): void => {
    if (isIndirect && without(trusted.now, now).length === 0) return;
    const vouched = vouchedUntil(own, now);
    if (vouched > 0) {
      until = vouched;
      why = EXPIRED;
      return;
    }
    until = 0;
    why = NOT_VOUCHED;
    connection?.close();
  };
  hold(trusted.now);
  const ended = (): string | undefined => (until <= Date.now() ? why : undefined);
  return { presented: { state: "accepted", caller, ended }, hold };
}
