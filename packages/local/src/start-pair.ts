import { mkdir, writeFile } from "node:fs/promises";
import { makeKey, writeKeys } from "@tandem/invites";
import { join } from "node:path";
import { type ProvidedCertificates, provideCertificates } from "@tandem/certificates";
import { type EmbeddedServer, startEmbeddedServer } from "@tandem/embedded";
import {
  assistantDatabase,
  bootstrapCluster,
  type DatabasePlan,
  gatewayDatabase,
  provideRolePasswords,
  type RolePasswords,
  rolesOf,
  withDatabase,
} from "@tandem/postgres";
import { certificatesFolder, type LocalConfig, policyFile, type PortName, shortPath } from "./config.ts";
import type { Progress } from "./progress.ts";
import { type ServiceProcess, startService } from "./service-process.ts";
import { waitUntilServing } from "./wait-until-serving.ts";

const servingTimeoutMs = 30_000;
// Together with the servers' own bounds these stay below the 5 s within which everything ends.
const serviceStopMs = 1_500;
const drainMs = 1_000;
const postgresStopMs = 1_000;

type ServiceName = "gateway" | "assistant";

/** Where the services' programs are. */
export type Programs = Readonly<Record<ServiceName, string>>;

/** Something that was started. */
export interface Part {
  readonly name: ServiceName | "postgres";
  /** Resolves when it has ended, with a sentence that says how. */
  readonly exited: Promise<string>;
  stop(): Promise<void>;
}

/** What starting needs to know, and whom it tells. */
export interface PairOptions {
  readonly config: LocalConfig;
  readonly programs: Programs;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Given each part as soon as it runs. Whoever starts a pair stops its parts once this is settled. */
  readonly onStarted: (part: Part) => void;
}

/**
 * Starts PostgreSQL, prepares both databases, starts both services and resolves when both are SERVING, with how the
 * services reach their databases.
 *
 * @throws an error with a plain sentence where a part can't be started
 */
export async function startPair(options: PairOptions): Promise<Record<ServiceName, string>> {
  const { config, progress, signal } = options;
  const server = await startPostgres(options);
  const plans = [gatewayDatabase, assistantDatabase];
  const passwords = await provideRolePasswords(
    join(config.dataFolder, "secrets.json"),
    plans.flatMap(rolesOf),
  );
  await bootstrapCluster({ adminUrl: server.adminUrl, databases: plans, passwords, signal });
  progress.say(`databases ${plans.map(({ name }) => name).join(" and ")} are prepared`);
  const certificates = await provideCertificates({
    folder: certificatesFolder(config),
    names: ["gateway", "assistant"],
  });
  progress.say(`certificates of gateway and assistant are in ${shortPath(certificatesFolder(config))}`);
  const inviteKeysFile = await provideInviteKeys(join(config.dataFolder, "invite-keys.json"));
  const addressOf = (port: PortName): string => `127.0.0.1:${config.ports[port]}`;
  // Where one fails, the other is not waited for.
  const failed = new AbortController();
  const start = {
    ...options,
    server,
    passwords,
    certificates,
    inviteKeysFile,
    signal: AbortSignal.any([signal, failed.signal]),
  };
  const starts = [
    startAndAwait(start, {
      name: "assistant",
      plan: assistantDatabase,
      address: addressOf("assistant"),
      environment: {
        TANDEM_DBPROXY_LISTEN: addressOf("dbProxy"),
        TANDEM_GATEWAY_ADDRESS: addressOf("gateway"),
        TANDEM_POLICY_FILE: policyFile,
        TANDEM_DBPROXY_URL: roleUrl(server, assistantDatabase, { role: "assistant_dbproxy", passwords }),
      },
    }),
    startAndAwait(start, {
      name: "gateway",
      plan: gatewayDatabase,
      address: addressOf("gateway"),
      environment: {
        TANDEM_ASSISTANT_ADDRESS: addressOf("dbProxy"),
        TANDEM_CONTACTS_CALLERS: "gateway",
        TANDEM_INVITES_CALLERS: "gateway",
        TANDEM_CUTOVER_CALLERS: "gateway",
      },
    }),
  ];
  try {
    await Promise.all(starts);
  } catch (error) {
    failed.abort(error);
    // Nothing is being started any more when this is settled.
    await Promise.allSettled(starts);
    throw error;
  }
  const urlOf = (plan: DatabasePlan): string => roleUrl(server, plan, { role: plan.roles.app, passwords });
  return { gateway: urlOf(gatewayDatabase), assistant: urlOf(assistantDatabase) };
}

async function startPostgres({ config, progress, signal, onStarted }: PairOptions): Promise<EmbeddedServer> {
  const dataFolder = join(config.dataFolder, "postgres");
  progress.say(`starting PostgreSQL (data in ${shortPath(dataFolder)})`);
  const server = await startEmbeddedServer({
    dataFolder,
    port: config.ports.postgres,
    onProgress: (line) => progress.say(line),
    signal,
  });
  onStarted({
    name: "postgres",
    exited: server.exited.then(({ code, signal: by }) => {
      const how = by === null ? `exit code ${code}` : by;
      return `PostgreSQL ended (${how}); its log is ${shortPath(server.logFile)}.`;
    }),
    stop: () => server.stop({ fastMs: postgresStopMs }),
  });
  progress.say(`PostgreSQL ${server.version} accepts connections`);
  return server;
}

async function startAndAwait(
  options: PairOptions & {
    readonly server: EmbeddedServer;
    readonly passwords: RolePasswords;
    readonly certificates: ProvidedCertificates<ServiceName>;
    readonly inviteKeysFile: string;
  },
  service: {
    readonly name: ServiceName;
    readonly plan: DatabasePlan;
    readonly address: string;
    readonly environment?: Readonly<Record<string, string>>;
  },
): Promise<void> {
  const { config, progress, programs, signal, server, passwords, certificates, inviteKeysFile } = options;
  const { name, plan, address } = service;
  signal.throwIfAborted();
  const logs = join(config.dataFolder, "logs");
  await mkdir(logs, { recursive: true, mode: 0o700 });
  const process: ServiceProcess = await startService({
    name,
    main: programs[name],
    logFile: join(logs, `${name}.log`),
    onNotable: (line) => progress.say(line),
    environment: {
      TANDEM_LISTEN: address,
      TANDEM_DATABASE_URL: roleUrl(server, plan, { role: plan.roles.app, passwords }),
      TANDEM_MIGRATION_URL: roleUrl(server, plan, { role: plan.roles.owner, passwords }),
      TANDEM_LOG_LEVEL: config.logLevel,
      TANDEM_DRAIN_TIMEOUT_MS: String(drainMs),
      TANDEM_STOP_WHEN_INPUT_ENDS: "true",
      TANDEM_TLS_AUTHORITY_FILE: certificates.authorityFile,
      TANDEM_TLS_CERTIFICATE_FILE: certificates.of[name].certificateFile,
      TANDEM_TLS_KEY_FILE: certificates.of[name].keyFile,
      TANDEM_INVITE_KEYS_FILE: inviteKeysFile,
      ...service.environment,
    },
  });
  options.onStarted({ name, exited: process.exited, stop: () => process.stop({ timeoutMs: serviceStopMs }) });
  const { authorityFile } = certificates;
  await waitUntilServing({ name, address, authorityFile, timeoutMs: servingTimeoutMs, signal });
  progress.say(`${name} is serving`);
}

function roleUrl(
  server: EmbeddedServer,
  plan: DatabasePlan,
  { role, passwords }: { readonly role: string; readonly passwords: RolePasswords },
): string {
  const url = new URL(withDatabase(server.adminUrl, plan.name));
  url.username = role;
  url.password = passwords[role] ?? "";
  return url.href;
}

/** What is there stays: invites are found by it. */
async function provideInviteKeys(file: string): Promise<string> {
  const key = makeKey([]);
  try {
    await writeFile(file, writeKeys({ current: key.id, keys: [key] }), { mode: 0o600, flag: "wx" });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
  return file;
}
