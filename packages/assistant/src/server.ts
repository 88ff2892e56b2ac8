import { randomUUID } from "node:crypto";
import { assistantStatements, decidingStatements } from "@tandem/assistant-statements";
import { IngressInvites } from "@tandem/contract/tandem/assistant/v1/ingress_invites";
import { Health } from "@tandem/contract/health/v1/health";
import { DbProxy } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { watchInviteKeys } from "@tandem/invites";
import {
  createOutbox,
  createStoreReceipts,
  type Database,
  keepReceipts,
  keepTombstones,
  startRelay,
  whilePassing,
} from "@tandem/postgres";
import {
  allow,
  createChannel,
  HandlerError,
  openRules,
  type Rules,
  RpcServer,
  type ServiceStart,
} from "@tandem/rpc";
import type { AssistantConfig } from "./config.ts";
import { createDbProxy } from "./db-proxy/db-proxy.ts";
import { readPolicyFile } from "./db-proxy/policy/policy-file.ts";
import type { Catalogue } from "./db-proxy/policy/policy.ts";
import { mirroredToGateway } from "./mirror/to-gateway.ts";
import { dbProxyHandlers, type Instance } from "./services/db-proxy-service.ts";
import { ingressInvitesHandlers, type IngressInvitesOptions } from "./services/ingress-invites-service.ts";
import { assertLimitedRole } from "./store/assert-limited-role.ts";
import { openStore } from "./store/open-store.ts";
import { readCatalogue } from "./store/read-catalogue.ts";

// How long it is tried to find out what became of a write in the assistant's own database.
const SETTLE_TIMEOUT_MS = 5_000;

/**
 * Builds the assistant and starts it: it listens at once, so that whoever asks for its health gets an
 * answer, and reports SERVING when its database is migrated. DbProxy has a listener of its own. What it gives
 * stops it: calls first, then the database under them.
 */
export async function startAssistant(start: ServiceStart<AssistantConfig>): Promise<AsyncDisposable> {
  const { config, logger } = start;
  const { policy, check } = await readPolicyFile(config.policyFile, {
    statements: new Set(assistantStatements.map(({ name }) => name)),
  });
  await using parts = new AsyncDisposableStack();
  let catalogue: Catalogue | undefined = undefined;
  let ingress: IngressInvitesOptions | undefined = undefined;
  const dbProxy = parts.use(
    await createDbProxy({
      url: config.dbProxyUrl,
      registered: assistantStatements,
      policy,
      catalogue: () => catalogue,
      onCommitted: (names) => {
        if (names.some((name) => decidingStatements.has(name))) ingress?.onWritten();
      },
      logger,
    }),
  );
  let instance: Instance = { id: randomUUID(), schemaVersion: "", standby: false };
  const peers = [...policy.callers.keys()];
  const servers = [
    createServer(start, {}),
    createServer(start, { ...allowDbProxy(peers), ...allowIngress(config.ingressCallers) })
      .addService(
        DbProxy,
        dbProxyHandlers(dbProxy, () => instance),
      )
      .addService(
        IngressInvites,
        ingressInvitesHandlers(() => served(ingress)),
      ),
  ] as const;
  parts.defer(async () => {
    await Promise.all(servers.map((server) => server.drain({ timeoutMs: config.drainTimeoutMs })));
  });
  const [address, dbProxyAddress] = [
    await servers[0].listen(config.listen),
    await servers[1].listen(config.dbProxyListen),
  ];
  logger.info({ address, dbProxyAddress, instance: instance.id }, "listening");

  await using below = new AsyncDisposableStack();
  const store = below.use(await openStore(start));
  catalogue = await whilePassing(async () => {
    await assertLimitedRole(store.database, "TANDEM_DBPROXY_URL", config.dbProxyUrl);
    return readCatalogue(store.database);
  }, start.signal);
  check(catalogue);
  await dbProxy.checkRegistered(start.signal);
  // A standby takes no writes, and so has no receipts to keep.
  if (!store.standby) {
    below.use(await keepReceipts({ database: store.database, logger, signal: start.signal }));
    ingress = mirrorInvites(start, { below, database: store.database, instanceId: instance.id });
  }
  instance = { ...instance, schemaVersion: store.schemaVersion, standby: store.standby };
  // What was put on last is disposed of first: the calls, then what they use.
  const running = new AsyncDisposableStack();
  running.use(below.move());
  running.use(parts.move());
  for (const server of servers) server.health.setAll(true);
  logger.info({ address, dbProxyAddress, schemaVersion: store.schemaVersion }, "serving");
  return running;
}

/** Begins to bring to the gateway what is decided here, and gives what creates invites. */
function mirrorInvites(
  { config, logger }: ServiceStart<AssistantConfig>,
  {
    below,
    database,
    instanceId,
  }: { readonly below: AsyncDisposableStack; readonly database: Database; readonly instanceId: string },
): IngressInvitesOptions {
  const keys = below.use(watchInviteKeys({ file: config.inviteKeysFile, logger }));
  const channel = below.adopt(
    createChannel({
      address: config.gatewayAddress,
      ...config.gatewayIdentity,
      onProblem: (err) => logger.warn({ err }, "the credentials can't be used: those before stay in use"),
    }),
    (opened) => opened.close(),
  );
  below.use(keepTombstones({ database, logger }));
  const relay = below.use(
    startRelay({
      outbox: createOutbox(database),
      aggregates: mirroredToGateway({ channel, instanceId }),
      logger,
    }),
  );
  return {
    database,
    receipts: createStoreReceipts(database, { timeoutMs: SETTLE_TIMEOUT_MS }),
    keys: () => keys.current,
    instanceId,
    onWritten: () => relay.wake(),
  };
}

/** What the server has let through to it is served: it refuses calls until then, and a standby creates nothing. */
function served<T>(part: T | undefined): T {
  if (part !== undefined) return part;
  throw new HandlerError({ reason: "NOT_PRIMARY", message: "This instance takes no writes." });
}

function createServer({ config, logger }: ServiceStart<AssistantConfig>, rules: Rules): RpcServer {
  const { reflection, identity } = config;
  const withRules = { ...identity, rules: { ...openRules(config), ...rules } };
  return new RpcServer({ logger, identity: withRules, reflection, refuseUntilServing: true });
}

/** Whoever creates invites learns their secrets, which no policy grants. */
function allowIngress(callers: readonly string[]): Rules {
  return allow(IngressInvites, { createIngressInvite: callers, digestInvites: callers });
}

/** What the policy says of a caller is looked at call by call; whom it doesn't know gets no further than this. */
function allowDbProxy(callers: readonly string[]): Rules {
  return {
    ...allow(DbProxy, {
      transaction: callers,
      transactionStream: callers,
      query: callers,
      getReceipt: callers,
      probe: callers,
    }),
    ...allow(Health, { watch: callers, list: callers }),
  };
}
