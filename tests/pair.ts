import { fileURLToPath } from "node:url";
import { assistantDatabase, bootstrapCluster, type DatabasePlan, gatewayDatabase } from "@tandem/postgres";
import { type Channel, createChannel, waitForPeer } from "@tandem/rpc";
import {
  createProcesses,
  createTestDatabase,
  runSql,
  type SpawnedProcess,
  type TestDatabase,
} from "@tandem/testkit";

type Environment = Readonly<Record<string, string>>;

/** Both services as processes of their own, on databases of one test file's. */
export interface Pair extends AsyncDisposable {
  readonly assistant: TestDatabase;
  readonly gateway: TestDatabase;
  startAssistant(environment?: Environment): Promise<Service>;
  startGateway(environment?: Environment): Promise<Service>;
}

export interface Service {
  readonly process: SpawnedProcess;
  /** Where it listens, once it does. */
  address(): Promise<string>;
  /** Where the assistant's DbProxy does. */
  dbProxyAddress(): Promise<string>;
  /** Resolves when it reports SERVING. */
  serving(): Promise<void>;
  /** What it logged, in order. */
  log(): readonly Readonly<Record<string, unknown>>[];
}

/** Makes both databases, with their roles, and no table in them; the assistant's has `nap(seconds)`. */
export async function createPair(): Promise<Pair> {
  const processes = createProcesses();
  const assistant = await createTestDatabase();
  const gateway = await createTestDatabase();
  const databases = [
    { ...assistantDatabase, name: assistant.name },
    { ...gatewayDatabase, name: gateway.name },
  ];
  await bootstrapCluster({ adminUrl: assistant.adminUrl, databases, passwords: passwordsOf(...databases) });
  await runSql(assistant.url, NAP);
  const start = async (name: string, environment: Environment): Promise<Service> => {
    const main = fileURLToPath(import.meta.resolve(`@tandem/${name}/main`));
    return toService(name, await processes.spawn({ args: [main], env: environment }));
  };
  return {
    assistant,
    gateway,
    startAssistant: (environment) =>
      start("assistant", { ...environmentOf(assistant, assistantDatabase), ...environment }),
    startGateway: (environment) =>
      start("gateway", { ...environmentOf(gateway, gatewayDatabase), ...environment }),
    async [Symbol.asyncDispose]() {
      await processes.end();
      await assistant.drop();
      await gateway.drop();
    },
  };
}

function passwordsOf(...plans: readonly DatabasePlan[]): Record<string, string> {
  const roles = plans.flatMap((plan) => Object.values(plan.roles));
  // Roles are shared by the whole run: every test that makes them gives them the same passwords.
  return Object.fromEntries(roles.map((role) => [role, `${role}-test`]));
}

function environmentOf(database: TestDatabase, { roles }: DatabasePlan): Environment {
  const urlOf = (role: string): string => database.urlFor({ name: role, password: `${role}-test` });
  return {
    ...plaintextEnvironment,
    TANDEM_DATABASE_URL: urlOf(roles.app),
    TANDEM_MIGRATION_URL: urlOf(roles.owner),
    ...(roles.dbproxy === undefined ? {} : { TANDEM_DBPROXY_URL: urlOf(roles.dbproxy) }),
    TANDEM_STOP_WHEN_INPUT_ENDS: "true",
  };
}

/** Of a service that takes everybody on this machine for the gateway, and lets it run any statement. */
export const plaintextEnvironment: Environment = {
  TANDEM_LISTEN: "127.0.0.1:0",
  TANDEM_DBPROXY_LISTEN: "127.0.0.1:0",
  TANDEM_ALLOW_PLAINTEXT: "true",
  TANDEM_PLAINTEXT_CALLER: "gateway",
  TANDEM_POLICY_FILE: fileURLToPath(new URL("policy.yaml", import.meta.url)),
  TANDEM_INVITE_KEYS_FILE: fileURLToPath(new URL("invite-keys.json", import.meta.url)),
};

/** Makes `nap(seconds)`, run by a superuser: pg_sleep is nobody's, and the policy of these tests names this one. */
export const NAP = `
  CREATE FUNCTION nap(seconds float8) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
    AS 'BEGIN PERFORM pg_catalog.pg_sleep(seconds); END';
  GRANT EXECUTE ON FUNCTION nap(float8) TO ${assistantDatabase.roles.dbproxy}`;

/** What a test does with a service that was spawned. */
export function toService(name: string, process: SpawnedProcess): Service {
  const listening = async (): Promise<{ address: string; dbProxyAddress: string }> => {
    return JSON.parse(await process.waitForLine('"msg":"listening"')) as Awaited<
      ReturnType<typeof listening>
    >;
  };
  const address = async (): Promise<string> => (await listening()).address;
  return {
    process,
    address,
    dbProxyAddress: async () => (await listening()).dbProxyAddress,
    serving: async () => {
      const channel: Channel = createChannel({ address: await address() });
      await waitForPeer({ channel, name, timeoutMs: 20_000, intervalMs: 20 }).finally(() => channel.close());
    },
    log: () => process.lines("stdout").map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}
