import type { TlsFiles } from "@tandem/rpc";
import type { DbProxySpec } from "./service-spec.ts";

/** Answered with the address on which it listens. */
export interface StartService {
  readonly ask: "start";
  readonly spec: DbProxySpec;
  readonly dbProxyUrl: string;
  readonly connections: number;
  /** Set where the spec asks for TLS. */
  readonly tls: TlsFiles | undefined;
}

/** Answered with a ProcessUsage. */
export interface AskUsage {
  readonly ask: "usage";
}

export type ServiceQuestion = StartService | AskUsage;

/** What a process has used so far, and holds now. */
export interface ProcessUsage {
  readonly cpuMs: number;
  readonly residentBytes: number;
}
