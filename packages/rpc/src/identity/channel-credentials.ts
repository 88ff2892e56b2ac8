import { type ChannelCredentials, experimental } from "@grpc/grpc-js";
import { callerOfNames, CallerNameError } from "./caller-name.ts";
import type { TlsMaterial } from "./tls-files.ts";
import type { WatchedFiles } from "./watched-files.ts";

type Provider = Parameters<typeof experimental.createCertificateProviderChannelCredentials>[0];
type Verify = NonNullable<Parameters<typeof experimental.createCertificateProviderChannelCredentials>[2]>;

/**
 * TLS for a channel: each connection is made with what the files say by then. grpc-js's own provider reads files
 * too, but takes a certificate with the key of the one before for the end of all connecting.
 */
export function createChannelCredentials(
  files: WatchedFiles<TlsMaterial>,
  peer: string | undefined,
): ChannelCredentials {
  const provider = toProvider(files);
  const identity = files.current.cert === undefined ? null : provider;
  const verify: Verify = {};
  if (peer !== undefined) {
    verify.checkServerIdentity = (_, { subjectaltname }) => check(peer, subjectaltname);
  }
  return experimental.createCertificateProviderChannelCredentials(provider, identity, verify);
}

function check(peer: string, names: string | undefined): Error | undefined {
  try {
    if (callerOfNames(names) === peer) return undefined;
  } catch (error) {
    if (!(error instanceof CallerNameError)) throw error;
  }
  return new Error(`The server's certificate is not ${peer}'s.`);
}

function toProvider(files: WatchedFiles<TlsMaterial>): Provider {
  const ends = new Map<unknown, () => void>();
  const add = <T>(listener: (update: T) => void, toUpdate: (material: TlsMaterial) => T): void => {
    const tell = (): void => listener(toUpdate(files.current));
    ends.set(listener, files.onChange(tell));
    process.nextTick(tell);
  };
  const remove = (listener: unknown): void => {
    ends.get(listener)?.();
    ends.delete(listener);
  };
  return {
    addCaCertificateListener: (listener) => add(listener, ({ ca }) => ({ caCertificate: ca })),
    removeCaCertificateListener: remove,
    addIdentityCertificateListener: (listener) =>
      add(listener, ({ cert, key }) =>
        cert === undefined || key === undefined ? null : { certificate: cert, privateKey: key },
      ),
    removeIdentityCertificateListener: remove,
  };
}
