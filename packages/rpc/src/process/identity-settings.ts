import { checkCallerName, CallerNameError } from "../identity/caller-name.ts";
import type { IdentityOptions } from "../identity/gate.ts";
import type { ChannelIdentityOptions } from "../identity/channel-identity.ts";
import { isLoopback } from "../identity/loopback.ts";
import type { TlsFiles } from "../identity/tls-files.ts";
import { SettingError, type Settings } from "./settings.ts";

/** How a service's process shows who it is, and how it learns who calls. */
export type ProcessIdentity = Omit<IdentityOptions, "rules">;

/** Reads it from the settings. Fails with a SettingError where nobody said how callers are to be known. */
export function readProcessIdentity(settings: Settings): ProcessIdentity {
  const tls = readTlsFiles(settings);
  const tokensFile = settings.optional("TANDEM_TOKENS_FILE");
  const tokens = tokensFile === undefined ? {} : { tokensFile };
  const allowPlaintext = settings.flag("TANDEM_ALLOW_PLAINTEXT");
  const plaintextCaller = settings.optional("TANDEM_PLAINTEXT_CALLER");
  if (tls !== undefined) {
    if (!allowPlaintext && plaintextCaller === undefined) return { tls, ...tokens };
    throw new SettingError(
      "TANDEM_ALLOW_PLAINTEXT and TANDEM_PLAINTEXT_CALLER are for a service without certificates: leave them out.",
    );
  }
  if (!allowPlaintext) {
    throw new SettingError(
      "TANDEM_TLS_CERTIFICATE_FILE is not set: give the service a certificate (`npm run tandem -- certificates` makes them for development), or, on this machine alone, set TANDEM_ALLOW_PLAINTEXT=true.",
    );
  }
  if (plaintextCaller === undefined) {
    if (tokensFile !== undefined) return { allowPlaintext, ...tokens };
    throw new SettingError(
      "TANDEM_ALLOW_PLAINTEXT=true says nothing of who calls: set TANDEM_TOKENS_FILE, or TANDEM_PLAINTEXT_CALLER to the one caller that everybody is taken for.",
    );
  }
  return {
    allowPlaintext,
    ...tokens,
    plaintextCaller: checkName("TANDEM_PLAINTEXT_CALLER", plaintextCaller),
  };
}

export interface PeerSettings {
  /** What the peer's variables begin with: TANDEM_ASSISTANT. */
  readonly prefix: string;
  readonly address: string;
  /** The process's own. */
  readonly identity: ProcessIdentity;
  /** Whom the peer's certificate names where no variable says so. */
  readonly name: string;
}

/**
 * How the process shows who it is to a peer that it calls, and makes sure of that peer: with its own certificate,
 * or, where it has none, in plaintext on this machine. Fails with a SettingError.
 */
export function readPeerIdentity(settings: Settings, peer: PeerSettings): ChannelIdentityOptions {
  const { prefix, address, identity } = peer;
  const tokenFile = settings.optional(`${prefix}_TOKEN_FILE`);
  const token = tokenFile === undefined ? {} : { token: { file: tokenFile } };
  if (identity.tls !== undefined) {
    const variable = `${prefix}_NAME`;
    return {
      ...token,
      tls: { ...identity.tls, peer: checkName(variable, settings.text(variable, peer.name)) },
    };
  }
  if (isLoopback(address)) return token;
  throw new SettingError(
    `${prefix}_ADDRESS is not on this machine, and without TLS whoever is on the way reads and writes along: set TANDEM_TLS_CERTIFICATE_FILE.`,
  );
}

/** Callers, named one after the other with commas between; nobody where neither is said. Fails with a SettingError. */
export function readCallers(settings: Settings, variable: string, byDefault = ""): readonly string[] {
  const names = (settings.optional(variable) ?? byDefault).split(",").map((name) => name.trim());
  return names.filter((name) => name !== "").map((name) => checkName(variable, name));
}

const tlsVariables = {
  certificateFile: "TANDEM_TLS_CERTIFICATE_FILE",
  keyFile: "TANDEM_TLS_KEY_FILE",
  authorityFile: "TANDEM_TLS_AUTHORITY_FILE",
} as const;

function readTlsFiles(settings: Settings): TlsFiles | undefined {
  const names = Object.values(tlsVariables);
  const missing = names.find((name) => settings.optional(name) === undefined);
  if (missing === undefined) {
    const { certificateFile, keyFile, authorityFile } = tlsVariables;
    return {
      certificateFile: settings.text(certificateFile),
      keyFile: settings.text(keyFile),
      authorityFile: settings.text(authorityFile),
    };
  }
  if (names.every((name) => settings.optional(name) === undefined)) return undefined;
  throw new SettingError(`${missing} is not set: ${names.join(", ")} belong together.`);
}

function checkName(variable: string, name: string): string {
  try {
    return checkCallerName(name);
  } catch (error) {
    if (!(error instanceof CallerNameError)) throw error;
    throw new SettingError(`${variable}: ${error.message}.`, { cause: error });
  }
}
