import {
  applyMirrored,
  createOutbox,
  type Database,
  keepTombstones,
  type MirrorItem,
  startRelay,
} from "@tandem/postgres";
import { HandlerError, type Logger } from "@tandem/rpc";

/** In the warehouse: what a call from the shop comes to. Each item is answered by itself. */
export async function takeOrders(
  warehouse: Database,
  items: readonly MirrorItem[],
): Promise<readonly (HandlerError | undefined)[]> {
  const results = await applyMirrored(warehouse, "order", items);
  return results.map((result) => (result instanceof HandlerError ? result : undefined));
}

/** In the shop: brings what has changed to the warehouse, until it is disposed of. Whoever writes orders wakes it. */
export function mirrorOrders(options: {
  readonly shop: Database;
  /** Calls the warehouse; rejects where it can't be reached. */
  readonly send: (items: readonly MirrorItem[]) => Promise<readonly (Error | undefined)[]>;
  readonly logger: Logger;
}): AsyncDisposable & { wake(): void } {
  const { shop, send, logger } = options;
  const parts = new AsyncDisposableStack();
  parts.use(keepTombstones({ database: shop, logger }));
  const aggregates = [{ name: "order", deliver: send }];
  const relay = parts.use(startRelay({ outbox: createOutbox(shop), aggregates, logger }));
  return { wake: () => relay.wake(), [Symbol.asyncDispose]: () => parts.disposeAsync() };
}
