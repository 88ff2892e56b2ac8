import { ServerCredentials } from "@grpc/grpc-js";
import type { SecureContextOptions } from "node:tls";
import { MIN_TLS_VERSION, type TlsMaterial } from "./tls-files.ts";
import type { WatchedFiles } from "./watched-files.ts";

/**
 * TLS for a server whose certificate and authorities change while it runs: connections there are stay, new ones
 * get what the files say by then. A client's certificate is asked for, and not insisted upon in the handshake:
 * a call is refused by the gate, with a reason, rather than a connection without one.
 */
export class ReloadingServerCredentials extends ServerCredentials {
  constructor(files: WatchedFiles<TlsMaterial>) {
    super({ requestCert: true, rejectUnauthorized: false }, toContext(files.current));
    files.onChange((material) => this.updateSecureContextOptions(toContext(material)));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

function toContext(material: TlsMaterial): SecureContextOptions {
  return { ...material, minVersion: MIN_TLS_VERSION };
}
