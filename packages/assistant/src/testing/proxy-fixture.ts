import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  DbProxy,
  type ParamSchema,
  type StepSchema,
  type TransactionResponse,
  type ValueSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { assistantDatabase, bootstrapCluster, createDatabase, migrate } from "@tandem/postgres";
import {
  allow,
  type CallOptions,
  type Client,
  createChannel,
  createClient,
  createLogger,
  type DrainResult,
  RpcServer,
} from "@tandem/rpc";
import type { DeclaredStatement } from "@tandem/statements";
import {
  createTcpRelay,
  createTestDatabase,
  runSql,
  type TcpRelay,
  type TemplateTarget,
  type TestDatabase,
} from "@tandem/testkit";
import { createDbProxy } from "../db-proxy/db-proxy.ts";
import type { DbProxyLimits } from "../db-proxy/limits.ts";
import type { Catalogue, Policy } from "../db-proxy/policy/policy.ts";
import { dbProxyHandlers } from "../services/db-proxy-service.ts";
import { readCatalogue } from "../store/read-catalogue.ts";
import { migrationsFolders } from "../store/migrations-folder.ts";

export type StepInit = MessageInitShape<typeof StepSchema>;
export type ParamInit = MessageInitShape<typeof ParamSchema>;
type ValueInit = MessageInitShape<typeof ValueSchema>;

/** An instance of DbProxy on a real socket. */
export interface Replica extends AsyncDisposable {
  readonly client: Client<typeof DbProxy>;
  readonly address: string;
  /** Stands between the instance and PostgreSQL. */
  readonly relay: TcpRelay;
  /** Every line that it logged. */
  readonly log: readonly string[];
  drain(): Promise<DrainResult>;
}

/** DbProxy over a database of the test file's own. */
export interface ProxyFixture extends Replica {
  /** The superuser's. */
  readonly databaseUrl: string;
  /** That of the role with which DbProxy runs callers' statements. */
  readonly roleUrl: string;
  urlFor(role: { readonly name: string; readonly password: string }): string;
  /** Another instance on the same database; whoever adds it disposes of it. */
  addReplica(limits?: Partial<DbProxyLimits>): Promise<Replica>;
  /** Runs a statement as the database's owner would, past DbProxy. */
  sql(text: string): Promise<readonly Record<string, unknown>[]>;
  /** The owner's tables that are made by this are open to DbProxy. */
  define(ddl: string): Promise<void>;
  /** Lets DbProxy's role call functions, with their types, that a bootstrap leaves to the owner. */
  allow(...functions: readonly string[]): Promise<void>;
  transaction(steps: readonly StepInit[], options?: CallOptions): Promise<TransactionResponse>;
}

export async function createProxyFixture(
  limits: Partial<DbProxyLimits> = {},
  policy?: Policy,
  registered: readonly DeclaredStatement[] = [],
): Promise<ProxyFixture> {
  const database = await createTestDatabase({ template: { name: "assistant", prepare: prepareAssistant } });
  await runSql(roleUrl(database, "assistant_app"), "SELECT tandem.keep_receipts('24 hours')");
  let catalogue = await catalogueOf(database);
  const served = { policy, registered, catalogue: () => catalogue };
  const replica = await startReplica(database, { limits, ...served });
  return {
    ...replica,
    databaseUrl: database.url,
    urlFor: (login) => database.urlFor(login),
    roleUrl: roleUrl(database, "assistant_dbproxy"),
    addReplica: (own) => startReplica(database, { limits: { ...limits, ...own }, ...served }),
    sql: (text) => runSql(database.url, text),
    define: async (ddl) => {
      await runSql(
        roleUrl(database, "assistant_owner"),
        `${ddl}; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO assistant_dbproxy`,
      );
      catalogue = await catalogueOf(database);
    },
    allow: async (...functions) => {
      await runSql(database.url, `GRANT EXECUTE ON FUNCTION ${functions.join(", ")} TO assistant_dbproxy`);
    },
    transaction: (steps, options) => replica.client.transaction({ steps: [...steps] }, options),
    async [Symbol.asyncDispose]() {
      await replica[Symbol.asyncDispose]();
      await database.drop();
    },
  };
}

/** Starts one over a database that `prepareAssistant` has prepared, wherever that is. */
export async function startReplica(
  database: Pick<TestDatabase, "url" | "urlFor">,
  options: {
    readonly limits: Partial<DbProxyLimits>;
    readonly policy: Policy | undefined;
    readonly catalogue: () => Catalogue;
    readonly registered: readonly DeclaredStatement[];
  },
): Promise<Replica> {
  const at = new URL(database.url);
  const relay = await createTcpRelay({ target: { host: at.hostname, port: Number(at.port) } });
  const url = new URL(roleUrl(database, "assistant_dbproxy"));
  url.port = String(relay.port);
  const log: string[] = [];
  const logger = createLogger({
    service: "assistant",
    level: "debug",
    destination: { write: (line) => void log.push(line) },
  });
  const dbProxy = await createDbProxy({ url: url.href, ...options, logger });
  const callers = ["anonymous"];
  const everyMethod = { transaction: callers, query: callers, getReceipt: callers, probe: callers };
  const identity = { allowPlaintext: true, plaintextCaller: "anonymous" };
  const rules = allow(DbProxy, { ...everyMethod, transactionStream: callers });
  const server = new RpcServer({ logger, identity: { ...identity, rules } });
  server.addService(
    DbProxy,
    dbProxyHandlers(dbProxy, () => ({ id: "fixture", schemaVersion: "0001", standby: false })),
  );
  const address = await server.listen("127.0.0.1:0");
  const channel = createChannel({ address });
  return {
    client: createClient(DbProxy, channel),
    address,
    relay,
    log,
    drain: () => server.drain({ timeoutMs: 1_000 }),
    async [Symbol.asyncDispose]() {
      channel.close();
      await server.drain({ timeoutMs: 1_000 });
      await dbProxy[Symbol.asyncDispose]();
      await relay.close();
    },
  };
}

/** What a database has, as the assistant reads it when it starts. */
export async function catalogueOf(database: Pick<TestDatabase, "urlFor">): Promise<Catalogue> {
  const own = createDatabase({ url: roleUrl(database, "assistant_app"), applicationName: "test" });
  try {
    return await readCatalogue(own);
  } finally {
    await own.close();
  }
}

/** A step by its text and its values. */
export function step(sql: string, ...values: readonly ValueInit["kind"][]): StepInit {
  return {
    statement: { case: "sql", value: sql },
    params: values.map((kind) => ({
      kind: { case: "value" as const, value: kind === undefined ? {} : { kind } },
    })),
  };
}

/** What a call failed with, to be looked at; "nothing failed" where it didn't. */
export async function failureOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => "nothing failed",
    (error: unknown) => error,
  );
}

export const int = (value: bigint | number): ValueInit["kind"] => ({
  case: "intValue",
  value: BigInt(value),
});
export const text = (value: string): ValueInit["kind"] => ({ case: "textValue", value });

/** Makes the roles and the assistant's tables. */
export async function prepareAssistant(target: TemplateTarget): Promise<void> {
  const plan = { ...assistantDatabase, name: target.name };
  const roles = Object.values(plan.roles);
  // Roles are shared by the whole run: every test that makes them gives them the same passwords.
  const passwords = Object.fromEntries(roles.map((role) => [role, `${role}-test`]));
  await bootstrapCluster({ adminUrl: target.adminUrl, databases: [plan], passwords });
  const owner = new URL(target.url);
  owner.username = plan.roles.owner;
  owner.password = `${plan.roles.owner}-test`;
  await migrate({ url: owner.href, folders: migrationsFolders() });
}

function roleUrl(database: Pick<TestDatabase, "urlFor">, role: string): string {
  return database.urlFor({ name: role, password: `${role}-test` });
}
