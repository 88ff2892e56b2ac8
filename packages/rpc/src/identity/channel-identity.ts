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
  /** Plaintext where it isn't said. */
  readonly tls?: ChannelTls;
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
 * Fails with a CredentialsFileError where a file can't be used, with a TypeError where a token can't be one, and with a PlaintextError where a token would
 * leave this machine in plaintext.
 */
export function openChannelIdentity(
  options: ChannelIdentityOptions,
  address: string,
  limits: RpcLimits,
): ChannelIdentity {
  const { tls, token, onProblem = () => {} } = options;
  if (tls === undefined && token !== undefined && !isLoopback(address)) {
    throw new PlaintextError(
      `A token is not sent to ${address} without TLS: whoever is on the way could use it.`,
    );
  }
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

function toToken(content: Buffer | undefined): string {
  const text = content?.toString().trim() ?? "";
  // What is in it must not come into a message.
  if (!isToken(text)) throw new TypeError("it must hold one token and nothing else");
  return text;
}
