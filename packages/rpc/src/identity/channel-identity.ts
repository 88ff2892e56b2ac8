import { type ChannelCredentials, credentials } from "@grpc/grpc-js";
import type { RpcLimits } from "../limits.ts";
import { createChannelCredentials } from "./channel-credentials.ts";
import { isLoopback, PlaintextError } from "./loopback.ts";
import { type TlsFiles, watchTlsFiles } from "./tls-files.ts";
import { isToken } from "./tokens.ts";
import { type CredentialsFileError, type WatchedFiles, watchFiles } from "./watched-files.ts";

/** How a channel makes sure of the other side, and says who it is itself. */
export interface ChannelTls extends Pick<TlsFiles, "authorityFile"> {
  /** Its own certificate, and the key. A channel that has a token can do without. */
  readonly certificateFile?: string;
  readonly keyFile?: string;
  /** Whom the server's certificate must name. Where it isn't said: the host that is connected to. */
  readonly peer?: string;
}

export interface ChannelIdentityOptions {
  /** Plaintext where it isn't said, to this machine alone. */
  readonly tls?: ChannelTls;
  /**
   * Goes without TLS to other machines too: whoever is on the way reads and writes along, unless something else, such as
   * a mesh's sidecar, sees to it. A token doesn't go along all the same.
   */
  readonly allowPlaintext?: boolean;
  /** A bearer token for every call, or the file that has it, which is read again while the channel is open. */
  readonly token?: string | { readonly file: string };
  /** Told where a file that is read again can't be used: the content before it stays in use. */
  readonly onProblem?: (problem: CredentialsFileError) => void;
}

export interface ChannelIdentity {
  readonly credentials: ChannelCredentials;
  /** The authorization that a call which is sent now goes with. */
  authorization(): string | undefined;
  close(): void;
}

/**
 * Fails with a CredentialsFileError where a file can't be used, with a TypeError where a token can't be one, and with a PlaintextError where calls
 * would leave this machine in plaintext, or a token also where that is allowed.
 */
export function openChannelIdentity(
  options: ChannelIdentityOptions,
  address: string,
  limits: RpcLimits,
): ChannelIdentity {
  const { tls, token, onProblem = () => {} } = options;
  if (tls === undefined && !isLoopback(address)) checkLeaving(address, options);
  if (typeof token === "string" && !isToken(token)) throw new TypeError("The token is not a bearer token.");
  using opened = new DisposableStack();
  const watching = { pollMs: limits.credentialsPollMs, onProblem };
  let channelCredentials = credentials.createInsecure();
  if (tls !== undefined) {
    const files = watchTlsFiles(tls, watching);
    opened.defer(() => files.close());
    channelCredentials = createChannelCredentials(files, tls.peer);
  }
  let file: WatchedFiles<string> | undefined;
  if (typeof token === "object") {
    file = watchFiles({ ...watching, files: [token.file], parse: ([content]) => toToken(content) });
    opened.defer(() => file?.close());
  }
  const closing = opened.move();
  const fixed = typeof token === "string" ? token : undefined;
  return {
    credentials: channelCredentials,
    authorization: () => {
      const current = file?.current ?? fixed;
      return current === undefined ? undefined : `Bearer ${current}`;
    },
    close: () => closing.dispose(),
  };
}

function checkLeaving(
  address: string,
  { token, allowPlaintext }: Pick<ChannelIdentityOptions, "token" | "allowPlaintext">,
): void {
  if (token !== undefined) {
    throw new PlaintextError(
      `A token is not sent to ${address} without TLS: whoever is on the way could use it. Give the channel tls.`,
    );
  }
  if (allowPlaintext !== true) {
    throw new PlaintextError(
      `${address} is not on this machine, and without TLS whoever is on the way reads and writes along: give the channel tls, or, where something else encrypts, allowPlaintext: true.`,
    );
  }
}

function toToken(content: Buffer | undefined): string {
  const text = content?.toString().trim() ?? "";
  // What is in it must not come into a message.
  if (!isToken(text)) throw new TypeError("it must hold one token and nothing else");
  return text;
}
