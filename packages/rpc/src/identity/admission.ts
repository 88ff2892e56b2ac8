import type { Metadata, ServerInterceptingCallInterface } from "@grpc/grpc-js";
import type { HandlerError } from "../errors/handler-error.ts";
import type { PresentedCertificate } from "./certificates.ts";
import { AUTHORIZATION_HEADER, type PresentedToken, tokenOf, toToken } from "./presented-token.ts";
import { type Authorise, unauthenticated } from "./rules.ts";
import type { Token } from "./tokens.ts";

/** A call of which no more than the metadata is there. */
export type ArrivingCall = Pick<ServerInterceptingCallInterface, "getAuthContext">;

/** One message of a stream that stands for a call of its own. */
export interface StreamItem {
  /** The method that it stands for: `tandem.assistant.v1.DbProxy/Transaction`. */
  readonly method: string;
  /** The authorization that travels with it: `Bearer …`. The call's own counts where it has none. */
  readonly authorization?: string | undefined;
}

/** What a call may do, for as long as it runs: judged anew each time that it is asked. */
export interface Admission {
  /** Who called, when the call began. Undefined where nothing acceptable says so. */
  readonly caller: string | undefined;
  /** Whether it is let in, where it is, although nobody knows who calls. */
  readonly isStranger: boolean;
  /** Throws the HandlerError that the call is refused with. */
  check(): void;
  /** The caller of an item; throws the HandlerError that the item is refused with. */
  authoriseItem(item: StreamItem): string | undefined;
}

/** What a server knows that a call is judged by. */
export interface Judge {
  readonly authorise: Authorise;
  readonly certificateOf: (call: ArrivingCall) => PresentedCertificate;
  /** Undefined where the server takes no tokens. */
  readonly tokens: () => readonly Token[] | undefined;
  readonly plaintextCaller: string | undefined;
}

/** The admission of every call of a server without identities: it lets everyone in, and knows nobody. */
export const EVERYONE: Admission = {
  caller: undefined,
  isStranger: false,
  check: () => {},
  authoriseItem: () => undefined,
};

/** Takes what a call came with, and its secret out of the call's metadata: handlers have no use for it. */
export function admit(call: ArrivingCall, metadata: Metadata, method: string, judge: Judge): Admission {
  const certificate = judge.certificateOf(call);
  const token = tokenOf(metadata);
  metadata.remove(AUTHORIZATION_HEADER);
  const begun = identify(certificate, token, judge);
  // Most items of a stream show the same: to hash it anew for each would cost more than all else that is judged.
  let last: { readonly authorization: string; readonly token: PresentedToken } | undefined;
  const tokenOfItem = (authorization: string): PresentedToken => {
    if (last?.authorization !== authorization) last = { authorization, token: toToken(authorization) };
    return last.token;
  };
  return {
    caller: typeof begun === "string" ? begun : undefined,
    isStranger: typeof begun !== "string",
    check: () => void decide(identify(certificate, token, judge), method, judge),
    authoriseItem: (item) => {
      const itsToken = item.authorization === undefined ? token : tokenOfItem(item.authorization);
      return decide(identify(certificate, itsToken, judge), item.method, judge);
    },
  };
}

function decide(identity: string | HandlerError, method: string, judge: Judge): string | undefined {
  const caller = typeof identity === "string" ? identity : undefined;
  const refusal = judge.authorise(method, caller);
  if (refusal === undefined) return caller;
  // Why nobody is known helps more than that nobody is.
  throw typeof identity === "string" ? refusal : identity;
}

/** Whatever is shown must hold, and all of it name the same caller. */
function identify(
  certificate: PresentedCertificate,
  token: PresentedToken,
  judge: Judge,
): string | HandlerError {
  const now = Date.now();
  if (certificate.state === "unusable") return unauthenticated(certificate.why);
  const ended = certificate.state === "accepted" ? certificate.ended() : undefined;
  if (ended !== undefined) return unauthenticated(ended);
  const fromCertificate = certificate.state === "accepted" ? certificate.caller : undefined;
  if (token.state === "none") {
    if (certificate.state === "accepted") return certificate.caller;
    return judge.plaintextCaller ?? unauthenticated(certificate.why);
  }
  if (token.state === "unusable") return unauthenticated(token.why);
  const tokens = judge.tokens();
  if (tokens === undefined) return unauthenticated("This server takes no tokens.");
  const found = token.find(tokens);
  if (found === undefined || found.expires <= now) {
    return unauthenticated("Its token is wrong, has expired or was revoked.");
  }
  if (fromCertificate !== undefined && fromCertificate !== found.name) {
    return unauthenticated("Its certificate and its token name two callers.");
  }
  return found.name;
}
