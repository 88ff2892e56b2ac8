import { type Metadata, ServerCredentials } from "@grpc/grpc-js";
import type { RpcLimits } from "../limits.ts";
import type { Logger } from "../logger.ts";
import { type Admission, admit, type ArrivingCall, type Judge } from "./admission.ts";
import { createCertificates, NO_CERTIFICATE } from "./certificates.ts";
import { checkCallerName } from "./caller-name.ts";
import { checkPlaintext } from "./loopback.ts";
import { authorise, type Rules } from "./rules.ts";
import { ReloadingServerCredentials } from "./server-credentials.ts";
import { type TlsFiles, watchTlsFiles } from "./tls-files.ts";
import { parseTokens, type Token } from "./tokens.ts";
import { parseAuthorities } from "./vouched.ts";
import { CredentialsFileError, watchFiles } from "./watched-files.ts";

/** How a server learns who calls, and what each caller may call. */
export interface IdentityOptions {
  /** A caller is who its certificate names. Needed unless plaintext is allowed. */
  readonly tls?: TlsFiles;
  /** A caller is whom its bearer token is for: a file of hashes, one JSON object a line. */
  readonly tokensFile?: string;
  /** Does without TLS, on addresses of this machine alone. */
  readonly allowPlaintext?: boolean;
  /** Who is taken to call where plaintext is allowed and no token is shown. Nobody where it isn't said. */
  readonly plaintextCaller?: string;
  /** Who may call what. A method that is not among them is denied. */
  readonly rules: Rules;
}

export interface GateOptions {
  readonly identity: IdentityOptions;
  readonly limits: RpcLimits;
  readonly logger: Logger;
  /** Called when what was allowed may not be any more: something was read again, or time has passed. */
  readonly onDoubt: () => void;
}

/** Knows who calls, and what the rules let them call. */
export interface Gate {
  readonly credentials: ServerCredentials;
  admit(call: ArrivingCall, metadata: Metadata, method: string): Admission;
  close(): void;
}

/** Fails with a TypeError where the options contradict each other: before anything is read or listens. */
export function checkIdentity(identity: IdentityOptions): void {
  const { tls, tokensFile, allowPlaintext = false, plaintextCaller } = identity;
  if ((tls === undefined) !== allowPlaintext) {
    throw new TypeError(
      "A server has either certificates (tls), or, on this machine alone, allowPlaintext: true.",
    );
  }
  if (plaintextCaller === undefined) {
    if (allowPlaintext && tokensFile === undefined) {
      throw new TypeError(
        "Without TLS a server needs tokens (tokensFile), or a name for everyone (plaintextCaller).",
      );
    }
    return;
  }
  if (!allowPlaintext) throw new TypeError("There is no plaintextCaller without allowPlaintext: true.");
  checkCallerName(plaintextCaller);
}

/**
 * Opens the gate of a server that is about to listen. Fails with a PlaintextError where others could read along,
 * and with a CredentialsFileError where a file can't be used. Whoever opened it closes it.
 */
export function openGate(options: GateOptions & { readonly address: string }): Gate {
  const { identity, address, limits, logger, onDoubt } = options;
  if (identity.tls === undefined) checkPlaintext(address);
  using opened = new DisposableStack();
  const tokens =
    identity.tokensFile === undefined ? undefined : watchTokens(identity.tokensFile, limits, logger);
  opened.defer(() => tokens?.close());
  tokens?.onChange(({ length }) => {
    logger.info({ tokens: length }, "the tokens were read again");
    onDoubt();
  });
  let certificateOf: Judge["certificateOf"] = () => NO_CERTIFICATE;
  let credentials = ServerCredentials.createInsecure();
  if (identity.tls !== undefined) {
    const onProblem = (err: CredentialsFileError): void =>
      logger.warn({ err }, "the certificates can't be used: those before stay in use");
    const files = watchTlsFiles(identity.tls, { pollMs: limits.credentialsPollMs, onProblem });
    opened.defer(() => files.close());
    let { ca } = files.current;
    const certificates = createCertificates(parseAuthorities(ca));
    certificateOf = (call) => certificates.of(call);
    files.onChange((material) => {
      logger.info("the certificates were read again");
      if (material.ca.equals(ca)) return;
      ca = material.ca;
      certificates.trust(parseAuthorities(ca));
      onDoubt();
    });
    credentials = new ReloadingServerCredentials(files);
  }
  // Certificates and tokens expire while nothing is read.
  const timer = setInterval(onDoubt, limits.credentialsPollMs).unref();
  opened.defer(() => clearInterval(timer));
  const judge: Judge = {
    authorise: authorise(identity.rules),
    certificateOf,
    tokens: () => tokens?.current,
    plaintextCaller: identity.plaintextCaller,
  };
  const closing = opened.move();
  return {
    credentials,
    admit: (call, metadata, method) => admit(call, metadata, method, judge),
    close: () => closing.dispose(),
  };
}

// Revoking must never fail for a slip in the file: what can't be read lets nobody in.
function watchTokens(
  file: string,
  limits: RpcLimits,
  logger: Logger,
): ReturnType<typeof watchFiles<readonly Token[]>> {
  let started = false;
  const parse = ([content]: readonly Buffer[]): readonly Token[] => {
    const { tokens, problems } = parseTokens(content?.toString() ?? "", limits.maxTokens);
    const said = problems.map(({ line, message }) => `line ${line}: ${message}`).join("; ");
    if (said !== "" && !started) throw new CredentialsFileError(said);
    if (said !== "")
      logger.error({ file, problems }, "lines of the tokens' file can't be used: nobody has them");
    return tokens;
  };
  const onProblem = (err: CredentialsFileError): void =>
    logger.error({ err }, "the tokens can't be read: nobody is let in by one");
  const watched = watchFiles({
    files: [file],
    parse,
    pollMs: limits.credentialsPollMs,
    meanwhile: [],
    onProblem,
  });
  started = true;
  return watched;
}
