import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type CertificateFiles,
  createDevelopmentAuthority,
  type DevelopmentAuthority,
  type IssueOptions,
  replaceFile,
  writeCertificateFiles,
} from "@tandem/testkit";

/** Certificates and tokens for both services and their callers, in a folder that goes with it. */
export interface Identities extends AsyncDisposable {
  readonly authority: DevelopmentAuthority;
  readonly tokensFile: string;
  /** Issues a certificate for a name, anew each time it is asked for, in a folder of that name. */
  issue(
    name: string,
    options?: IssueOptions & { readonly by?: DevelopmentAuthority },
  ): Promise<CertificateFiles>;
  /** The variables of a service that has this name. */
  environment(name: string): Promise<Readonly<Record<string, string>>>;
}

export async function createIdentities(): Promise<Identities> {
  const folder = await mkdtemp(join(tmpdir(), "tandem-identities-"));
  const authority = await createDevelopmentAuthority();
  const tokensFile = join(folder, "tokens.jsonl");
  await replaceFile(tokensFile, "");
  const issue: Identities["issue"] = async (name, { by = authority, ...options } = {}) => {
    return writeCertificateFiles(join(folder, name), await by.issue(name, options), [authority]);
  };
  return {
    authority,
    tokensFile,
    issue,
    environment: async (name) => {
      const { certificateFile, keyFile, authorityFile } = await issue(name);
      return {
        TANDEM_TLS_CERTIFICATE_FILE: certificateFile,
        TANDEM_TLS_KEY_FILE: keyFile,
        TANDEM_TLS_AUTHORITY_FILE: authorityFile,
        TANDEM_TOKENS_FILE: tokensFile,
        TANDEM_ALLOW_PLAINTEXT: "",
        TANDEM_PLAINTEXT_CALLER: "",
      };
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}
