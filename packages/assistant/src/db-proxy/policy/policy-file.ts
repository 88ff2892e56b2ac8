import { readFile } from "node:fs/promises";
import { parsePolicy, PolicyError, type PolicyOptions } from "./parse-policy.ts";
import type { Catalogue, Policy } from "./policy.ts";

/** A policy as it is written. */
export interface PolicyFile {
  readonly policy: Policy;
  /** Holds it against the database that it is for. Fails with a PolicyError. */
  readonly check: (catalogue: Catalogue) => void;
}

/** The gateway may use what this service registers for its peers, and send no SQL of its own. */
const byDefault = `
version: 1
callers:
  gateway:
    statements: all
`;

/** Reads it, or gives the default where there is no file. Fails with a PolicyError that names the file. */
export async function readPolicyFile(
  path: string | undefined,
  registered: Pick<PolicyOptions, "statements">,
): Promise<PolicyFile> {
  const file = path ?? "The default policy";
  const text = path === undefined ? byDefault : await read(path);
  return {
    policy: parsePolicy(text, { ...registered, file }),
    check: (catalogue) => void parsePolicy(text, { ...registered, file, catalogue }),
  };
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new PolicyError(path, [error instanceof Error ? error.message : String(error)]);
  }
}
