import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { createDevelopmentAuthority, writeCertificateFiles } from "@tandem/testkit/certificates";
import { type Child, startChild } from "../child-process.ts";
import type { ServicePlace } from "../row.ts";
import type { ServiceUsage, StartService } from "../service/service-messages.ts";
import { nameOf, type ServiceSpec } from "../service/service-spec.ts";

/** A service's process, as rows call it and the bench watches it. */
export interface Service extends AsyncDisposable {
  readonly name: string;
  readonly place: ServicePlace;
  /** Before it was first called. */
  readonly atRest: ServiceUsage;
  usage(): Promise<ServiceUsage>;
}

export interface ServiceOptions {
  readonly spec: ServiceSpec;
  readonly dbProxyUrl: string;
  readonly connections: number;
  /** For its certificates. */
  readonly folder: string;
}

const ANSWER_MS = 30_000;

/** Starts one; resolves when it listens. */
export async function startService({ spec, folder, ...rest }: ServiceOptions): Promise<Service> {
  const certificates = spec.tls === true ? await issueCertificates(folder) : undefined;
  await using parts = new AsyncDisposableStack();
  const program = new URL("../service/service-process.ts", import.meta.url);
  const child = parts.use(startChild(program, { flags: spec.flags ?? [] }));
  const question: StartService = { ask: "start", spec, ...rest, tls: certificates?.service };
  const address = (await child.ask(question, { timeoutMs: ANSWER_MS })) as string;
  const atRest = await askUsage(child);
  const running = parts.move();
  return {
    name: nameOf(spec),
    place: {
      address,
      ...(certificates === undefined ? {} : { tls: { ...certificates.load, peer: "assistant" } }),
    },
    atRest,
    usage: () => askUsage(child),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

async function askUsage(child: Child): Promise<ServiceUsage> {
  return (await child.ask({ ask: "usage" }, { timeoutMs: ANSWER_MS })) as ServiceUsage;
}

async function issueCertificates(parent: string) {
  // Several services are started at a time.
  const folder = await mkdtemp(join(parent, "service-"));
  const authority = await createDevelopmentAuthority();
  const write = async (name: string) =>
    writeCertificateFiles(join(folder, name), await authority.issue(name), [authority]);
  return { service: await write("assistant"), load: await write("gateway") };
}
