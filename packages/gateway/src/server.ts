import { randomUUID } from "node:crypto";
import { DbProxy } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { createDbProxy, type DbProxy as AssistantDb } from "@tandem/dbproxy";
import {
  type Channel,
  createChannel,
  type Logger,
  openRules,
  RpcServer,
  type ServiceStart,
  waitForPeer,
} from "@tandem/rpc";
import type { GatewayConfig } from "./config.ts";
import { openStore } from "./store/open-store.ts";

/**
 * Builds the gateway and starts it: it listens at once, so that whoever asks for its health gets an
 * answer, and reports SERVING when its database is migrated and the assistant is ready. An assistant that
 * can't be reached or that still migrates is waited for, up to `peerTimeoutMs`; one that refuses us ends
 * the start. What it gives stops it: calls first, then what they use.
 */
export async function startGateway(start: ServiceStart<GatewayConfig>): Promise<AsyncDisposable> {
  const { config, logger, signal } = start;
  await using parts = new AsyncDisposableStack();
  const server = createServer(start);
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
  await waitForPeer({
    channel,
    name: "assistant",
    service: DbProxy.typeName,
    timeoutMs: config.peerTimeoutMs,
    signal,
    onWaiting: (state, details) => logger.info({ state, details }, "waiting for the assistant"),
  });
  await logAssistant(assistantDb, logger);
  // The server was there first, but it must end first.
  const running = new AsyncDisposableStack();
  running.use(used.move());
  running.use(parts.move());
  server.health.setAll(true);
  logger.info({ address, schemaVersion: store.schemaVersion }, "serving");
  return running;
}

function createServer({ config, logger }: ServiceStart<GatewayConfig>): RpcServer {
  const { reflection, identity } = config;
  const withRules = { ...identity, rules: openRules(config) };
  return new RpcServer({ logger, identity: withRules, reflection, refuseUntilServing: true });
}

function connectToAssistant({ config, logger }: ServiceStart<GatewayConfig>): Channel {
  return createChannel({
    address: config.assistantAddress,
    ...config.assistantIdentity,
    onProblem: (err) => logger.warn({ err }, "the credentials can't be used: those before stay in use"),
  });
}

// It may be gone again by now. That is no reason not to serve: every call finds out for itself.
async function logAssistant(assistantDb: AssistantDb, logger: Logger): Promise<void> {
  try {
    logger.info({ assistant: await assistantDb.probe() }, "the assistant is ready");
  } catch (error) {
    logger.warn({ err: error }, "the assistant was ready and does not answer any more");
  }
}
