import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { createDevelopmentAuthority, writeCertificateFiles } from "@tandem/testkit/certificates";
import { type Child, startChild } from "../child-process.ts";
import type { ServicePlace } from "../row.ts";
import type { ProcessUsage, StartService } from "../service/service-messages.ts";
import { type DbProxySpec, nameOf, type ServiceSpec } from "../service/service-spec.ts";
import { startPair } from "./pair.ts";

/** A service's process, or those of the pair, as rows call it and the bench watches it. */
export interface Service extends AsyncDisposable {
  readonly name: string;
  readonly place: ServicePlace;
  /** Before it was first called. */
  readonly atRest: ServiceUsage;
  usage(): Promise<ServiceUsage>;
  /** Resolves when it has finished what calls have left it to do by itself. */
  settle(): Promise<void>;
}

/** What its processes have used so far, and hold now; undefined where the system doesn't say. */
export type ServiceUsage = { readonly [Name in keyof ProcessUsage]: number | undefined };

export interface ServiceOptions<Spec extends ServiceSpec = ServiceSpec> {
  readonly spec: Spec;
  readonly dbProxyUrl: string;
  /** A superuser's, of the server. */
  readonly adminUrl: string;
  readonly connections: number;
  /** For its certificates. */
  readonly folder: string;
}

const ANSWER_MS = 30_000;

/** Starts one, or the pair; resolves when it can be called. */
export async function startService({ spec, ...rest }: ServiceOptions): Promise<Service> {
  return "decides" in spec ? startPair({ spec, ...rest }) : startDbProxy({ spec, ...rest });
}

async function startDbProxy(options: ServiceOptions<DbProxySpec>): Promise<Service> {
  const { spec, folder, dbProxyUrl, connections } = options;
  const certificates = spec.tls === true ? await issueCertificates(folder) : undefined;
  await using parts = new AsyncDisposableStack();
  const program = new URL("../service/service-process.ts", import.meta.url);
  const child = parts.use(startChild(program, { flags: spec.flags ?? [] }));
  const question: StartService = {
    ask: "start",
    spec,
    dbProxyUrl,
    connections,
    tls: certificates?.service,
  };
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
    settle: async () => undefined,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

async function askUsage(child: Child): Promise<ProcessUsage> {
  return (await child.ask({ ask: "usage" }, { timeoutMs: ANSWER_MS })) as ProcessUsage;
}

async function issueCertificates(parent: string) {
  // Several services are started at a time.
  const folder = await mkdtemp(join(parent, "service-"));
  const authority = await createDevelopmentAuthority();
  const write = async (name: string) =>
    writeCertificateFiles(join(folder, name), await authority.issue(name), [authority]);
  return { service: await write("assistant"), load: await write("gateway") };
}
