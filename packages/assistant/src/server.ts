import { randomUUID } from "node:crypto";
import { DbProxy } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { keepReceipts } from "@tandem/postgres";
import { RpcServer, type ServiceStart } from "@tandem/rpc";
import type { AssistantConfig } from "./config.ts";
import { createDbProxy } from "./db-proxy/db-proxy.ts";
import { dbProxyHandlers, type Instance } from "./services/db-proxy-service.ts";
import { openStore } from "./store/open-store.ts";

/**
 * Builds the assistant and starts it: it listens at once, so that whoever asks for its health gets an
 * answer, and reports SERVING when its database is migrated. What it gives stops it: calls first, then
 * the database under them.
 */
export async function startAssistant(start: ServiceStart<AssistantConfig>): Promise<AsyncDisposable> {
  const { config, logger } = start;
  await using parts = new AsyncDisposableStack();
  const dbProxy = parts.use(await createDbProxy({ url: config.dbProxyUrl, logger }));
  const server = new RpcServer({ logger, reflection: config.reflection, refuseUntilServing: true });
  let instance: Instance = { id: randomUUID(), schemaVersion: "", standby: false };
  server.addService(
    DbProxy,
    dbProxyHandlers(dbProxy, () => instance),
  );
  parts.defer(async () => {
    await server.drain({ timeoutMs: config.drainTimeoutMs });
  });
  const address = await server.listen(config.listen);
  logger.info({ address, instance: instance.id }, "listening");

  await using below = new AsyncDisposableStack();
  const store = below.use(await openStore(start));
  // A standby takes no writes, and so has no receipts to keep.
  if (!store.standby) {
    below.use(await keepReceipts({ database: store.database, logger, signal: start.signal }));
  }
  instance = { ...instance, schemaVersion: store.schemaVersion, standby: store.standby };
  // What was put on last is disposed of first: the calls, then what they use.
  const running = new AsyncDisposableStack();
  running.use(below.move());
  running.use(parts.move());
  server.health.setAll(true);
  logger.info({ address, schemaVersion: store.schemaVersion }, "serving");
  return running;
}
