import { RpcServer, type ServiceStart } from "@tandem/rpc";
import type { AssistantConfig } from "./config.ts";
import { openStore } from "./store/open-store.ts";

/**
 * Builds the assistant and starts it: it listens at once, so that whoever asks for its health gets an
 * answer, and reports SERVING when its database is migrated. What it gives stops it: calls first, then
 * the database under them.
 */
export async function startAssistant(start: ServiceStart<AssistantConfig>): Promise<AsyncDisposable> {
  const { config, logger, signal } = start;
  await using parts = new AsyncDisposableStack();
  const server = new RpcServer({ logger, reflection: config.reflection });
  parts.defer(async () => {
    const { forced } = await server.drain({ timeoutMs: config.drainTimeoutMs });
    if (forced > 0) logger.warn({ forced }, "calls were still running at the end of the drain");
  });
  const address = await server.listen(config.listen);
  logger.info({ address }, "listening");

  const store = await openStore(config, { logger, signal });
  // The server was there first, but it must end first.
  const running = new AsyncDisposableStack();
  running.use(store);
  running.use(parts.move());
  server.health.setAll(true);
  logger.info({ address, schemaVersion: store.schemaVersion }, "serving");
  return running;
}
