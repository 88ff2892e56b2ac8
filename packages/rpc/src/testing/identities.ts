import {
  type CertificateFiles,
  createDevelopmentAuthority,
  type DevelopmentAuthority,
  type IssueOptions,
  replaceFile,
  writeCertificateFiles,
} from "@tandem/testkit";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashToken } from "../identity/tokens.ts";

/** Certificates and tokens of a test's own, in a folder that goes with it. */
export interface Identities extends AsyncDisposable {
  readonly authority: DevelopmentAuthority;
  /** What the server `echo` reads. */
  readonly server: CertificateFiles;
  /** The file of tokens, empty at first. */
  readonly tokensFile: string;
  /** The files of a client of that name, in a folder of its own. They trust the server's authority. */
  client(name: string, options?: ClientOptions): Promise<CertificateFiles>;
  /** Writes the file of tokens anew: what isn't in the list is revoked. */
  setTokens(tokens: readonly TokenLine[]): Promise<void>;
}

export interface ClientOptions extends IssueOptions {
  /** Who issued it: the authority that the server trusts where it isn't said. */
  readonly issuer?: DevelopmentAuthority;
}

export interface TokenLine {
  readonly name: string;
  readonly token: string;
  readonly expires?: Date;
}

/** Makes an authority, and the certificate of a server that it issued. */
export async function createIdentities(): Promise<Identities> {
  const folder = await mkdtemp(join(tmpdir(), "tandem-identities-"));
  const authority = await createDevelopmentAuthority();
  const server = await writeCertificateFiles(join(folder, "server"), await authority.issue("echo"), [
    authority,
  ]);
  const tokensFile = join(folder, "tokens.jsonl");
  await replaceFile(tokensFile, "");
  let clients = 0;
  return {
    authority,
    server,
    tokensFile,
    client: async (name, options = {}) => {
      clients += 1;
      const issued = await (options.issuer ?? authority).issue(name, options);
      return writeCertificateFiles(join(folder, `client-${clients}`), issued, [authority]);
    },
    setTokens: (tokens) =>
      replaceFile(
        tokensFile,
        tokens
          .map(({ name, token, expires }) => ({ name, sha256: hashToken(token), expires }))
          .map((line) => `${JSON.stringify(line)}\n`)
          .join(""),
      ),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}
