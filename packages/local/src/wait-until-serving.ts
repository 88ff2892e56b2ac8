import { createChannel, waitForPeer } from "@tandem/rpc";

/**
 * Resolves when the service at an address reports SERVING as a whole.
 *
 * @throws PeerNotReadyError when the time is up; the signal's reason when that is aborted
 */
export async function waitUntilServing(options: {
  readonly name: string;
  readonly address: string;
  /** Of the certificates that are trusted: the service's names it. */
  readonly authorityFile: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { name, address, authorityFile, timeoutMs, signal } = options;
  const limits = { minReconnectMs: 25, maxReconnectMs: 100 };
  const channel = createChannel({ address, tls: { authorityFile, peer: name }, limits });
  try {
    await waitForPeer({ channel, name, timeoutMs, signal, intervalMs: 25 });
  } finally {
    channel.close();
  }
}
