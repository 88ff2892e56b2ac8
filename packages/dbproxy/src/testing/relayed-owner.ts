import { createTcpRelay, type TcpRelay } from "@tandem/testkit";
import { createDbProxy } from "../create-db-proxy.ts";
import { type RecordingOwner, type RecordingOwnerOptions, startRecordingOwner } from "./recording-owner.ts";

/** A recording owner whose client reaches it over a link that a test can break. */
export interface RelayedOwner extends RecordingOwner {
  readonly relay: TcpRelay;
}

export async function startRelayedOwner(options: RecordingOwnerOptions = {}): Promise<RelayedOwner> {
  await using parts = new AsyncDisposableStack();
  const owner = parts.use(await startRecordingOwner(options));
  const { hostname, port } = new URL(`tcp://${owner.address}`);
  const relay = await createTcpRelay({ target: { host: hostname, port: Number(port) } });
  parts.defer(() => relay.close());
  const db = createDbProxy({
    // Back soon after a cut, so that a test takes no longer than what it is about.
    limits: { minReconnectMs: 10, maxReconnectMs: 50 },
    ...options.client,
    address: relay.address,
  });
  parts.defer(() => db.close());
  const running = parts.move();
  return { ...owner, db, relay, [Symbol.asyncDispose]: () => running.disposeAsync() };
}
