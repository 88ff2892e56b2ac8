import { HandlerError } from "@tandem/rpc";
import { type TcpRelay, waitFor } from "@tandem/testkit";
import { type HeldStream, type HeldStreams, holdStreams } from "./held-streams.ts";
import { type RelayedOwner, startRelayedOwner } from "./relayed-owner.ts";
import type { RecordingOwnerOptions } from "./recording-owner.ts";

/** An owner whose streams a test answers by hand, over a link that it can break. */
export type HeldOwner = RelayedOwner & HeldStreams;

/** Its client has one stream, and sends nothing again. */
export async function startHeldOwner(
  client: RecordingOwnerOptions["client"] = {},
  onOpen?: (stream: HeldStream) => void,
): Promise<HeldOwner> {
  const held = holdStreams(onOpen);
  const owner = await startRelayedOwner({
    client: { retryLimits: { maxRetries: 0 }, streams: { maxStreams: 1 }, ...client },
    handlers: {
      transactionStream: held.handler,
      // What becomes of them is not settled here: the test sees what the send itself came to.
      getReceipt: () => {
        throw new HandlerError({ reason: "HANDLER_FAILED", message: "Nobody knows." });
      },
    },
  });
  return { ...owner, ...held };
}

/** Resolves when the link has carried nothing for a while. */
export async function waitForQuiet({ relay }: { readonly relay: TcpRelay }): Promise<void> {
  let carried = -1;
  await waitFor(
    () => {
      const before = carried;
      carried = relay.bytes().toServer;
      return carried === before;
    },
    { describe: "the link to be quiet", pollMs: 100 },
  );
}
