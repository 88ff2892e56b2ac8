import { randomUUID } from "node:crypto";
import { DbProxy } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { Contacts } from "@tandem/contract/tandem/gateway/v1/contacts";
import { Cutover } from "@tandem/contract/tandem/gateway/v1/cutover";
import { InviteMirror } from "@tandem/contract/tandem/gateway/v1/invite_mirror";
import { Invites } from "@tandem/contract/tandem/gateway/v1/invites";
import { createDbProxy, type DbProxy as AssistantDb } from "@tandem/dbproxy";
import {
  allow,
  type Channel,
  createChannel,
  HandlerError,
  openRules,
  type Rules,
  RpcServer,
  type ServiceStart,
  TransportError,
  waitForPeer,
} from "@tandem/rpc";
import type { GatewayConfig } from "./config.ts";
import { contactsHandlers } from "./services/contacts-service.ts";
import { cutoverHandlers } from "./services/cutover-service.ts";
import { inviteMirrorHandlers } from "./services/invite-mirror-service.ts";
import { invitesHandlers } from "./services/invites-service.ts";
import { openStore } from "./store/open-store.ts";
import { beginWork, type Work } from "./work.ts";

/**
 * Builds the gateway and starts it: it listens at once, so that whoever asks for its health gets an
 * answer, and reports SERVING when its database is migrated and the assistant is ready. An assistant that
 * can't be reached or that still migrates is waited for, up to `peerTimeoutMs`; one that refuses us ends
 * the start. What it gives stops it: calls first, then what they use.
 */
export async function startGateway(start: ServiceStart<GatewayConfig>): Promise<AsyncDisposable> {
  const { config, logger } = start;
  await using parts = new AsyncDisposableStack();
  let work: Work | undefined = undefined;
  const server = createServer(start)
    .addService(
      Contacts,
      contactsHandlers(() => served(work).contacts),
    )
    .addService(
      Invites,
      invitesHandlers(() => served(work).invites),
    )
    .addService(
      InviteMirror,
      inviteMirrorHandlers(() => served(work).database),
    )
    .addService(
      Cutover,
      cutoverHandlers(() => served(work).sides),
    );
  parts.defer(async () => {
    await server.drain({ timeoutMs: config.drainTimeoutMs });
  });
  const address = await server.listen(config.listen);
  const instanceId = randomUUID();
  logger.info({ address, instance: instanceId }, "listening");

  await using used = new AsyncDisposableStack();
  const store = used.use(await openStore(start));
  const channel = used.adopt(connectToAssistant(start), (opened) => opened.close());
  const assistantDb = createDbProxy({ channel, sourceInstanceId: instanceId });
  await meetAssistant(start, channel, assistantDb);
  work = await beginWork(start, { used, store, channel, assistantDb, instanceId });
  // The server was there first, but it must end first.
  const running = new AsyncDisposableStack();
  running.use(used.move());
  running.use(parts.move());
  server.health.setAll(true);
  logger.info({ address, schemaVersion: store.schemaVersion }, "serving");
  return running;
}

// A comparison of many rows takes minutes, and so does a repair: on a connection that is replaced it may come to its end.
const LONGEST_CALL_MS = 15 * 60_000;

function createServer({ config, logger }: ServiceStart<GatewayConfig>): RpcServer {
  const { reflection, identity } = config;
  const withRules = { ...identity, rules: { ...openRules(config), ...allowServices(config) } };
  const limits = { maxConnectionAgeGraceMs: LONGEST_CALL_MS };
  return new RpcServer({ logger, identity: withRules, limits, reflection, refuseUntilServing: true });
}

function allowServices(config: GatewayConfig): Rules {
  const {
    contactsCallers: contacts,
    invitesCallers: invites,
    cutoverCallers: cutover,
    mirrorCallers: mirror,
  } = config;
  return {
    ...allow(Contacts, {
      upsertContact: contacts,
      getContact: contacts,
      listContacts: contacts,
      deleteContact: contacts,
      updateContactChannel: contacts,
      touchContactChannel: contacts,
    }),
    ...allow(Invites, {
      createInvite: invites,
      getInvite: invites,
      listInvites: invites,
      revokeInvite: invites,
      redeemInvite: invites,
    }),
    ...allow(InviteMirror, {
      mirrorInviteCreate: mirror,
      mirrorInviteCreateStream: mirror,
      mirrorContact: mirror,
    }),
    ...allow(Cutover, { getAuthority: cutover, setAuthority: cutover, verifyMirror: cutover }),
  };
}

/** What the server has let through to it is served: it refuses calls until then. */
function served<T>(part: T | undefined): T {
  if (part !== undefined) return part;
  throw new HandlerError({ reason: "NOT_READY", message: "The gateway is starting: try again." });
}

function connectToAssistant({ config, logger }: ServiceStart<GatewayConfig>): Channel {
  return createChannel({
    address: config.assistantAddress,
    ...config.assistantIdentity,
    onProblem: (err) => logger.warn({ err }, "the credentials can't be used: those before stay in use"),
  });
}

/** Waits until it serves, and asks who it is: its health is anyone's, so only that shows whether it knows us. */
async function meetAssistant(
  { config, logger, signal }: ServiceStart<GatewayConfig>,
  channel: Channel,
  assistantDb: AssistantDb,
): Promise<void> {
  const refused = (error: unknown): unknown =>
    error instanceof HandlerError ? new AssistantRefusesError(config.assistantAddress, error) : error;
  await waitForPeer({
    channel,
    name: "assistant",
    service: DbProxy.typeName,
    timeoutMs: config.peerTimeoutMs,
    signal,
    onWaiting: (state, details) => logger.info({ state, details }, "waiting for the assistant"),
  }).catch((error: unknown) => {
    throw refused(error);
  });
  try {
    logger.info({ assistant: await assistantDb.probe() }, "the assistant is ready");
  } catch (error) {
    const mayPass = error instanceof TransportError || (error instanceof HandlerError && error.retryable);
    if (!mayPass) throw refused(error);
    // It is gone again by now. That is no reason not to serve: every call finds out for itself.
    logger.warn({ err: error }, "the assistant was ready and does not answer any more");
  }
}

/** The assistant is there, and does not serve us: waiting won't change that. */
class AssistantRefusesError extends Error {
  override readonly name = "AssistantRefusesError";

  constructor(address: string, cause: HandlerError) {
    super(
      `What listens at ${address} refuses this gateway: ${cause.message} TANDEM_ASSISTANT_ADDRESS is where the assistant's DbProxy listens (TANDEM_DBPROXY_LISTEN there), and its policy has to name this gateway.`,
      { cause },
    );
  }
}
