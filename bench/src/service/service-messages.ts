import type { TlsFiles } from "@tandem/rpc";
import type { ServiceSpec } from "./service-spec.ts";

/** Answered with the address on which it listens. */
export interface StartService {
  readonly ask: "start";
  readonly spec: ServiceSpec;
  readonly dbProxyUrl: string;
  readonly connections: number;
  /** Set where the spec asks for TLS. */
  readonly tls: TlsFiles | undefined;
}

/** Answered with a ServiceUsage. */
export interface AskUsage {
  readonly ask: "usage";
}

export type ServiceQuestion = StartService | AskUsage;

/** What a process has used so far, and holds now. */
export interface ServiceUsage {
  readonly cpuMs: number;
  readonly residentBytes: number;
}
