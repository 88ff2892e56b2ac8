import { Invites } from "@tandem/contract/tandem/gateway/v1/invites";
import { newRequestId } from "@tandem/dbproxy";
import { createChannel, createClient } from "@tandem/rpc";
import type { Caller, LoadPlace } from "../row.ts";
import { pick } from "../workloads/workload.ts";
import { fillPair } from "./fill-pair.ts";
import { pairOf } from "./pair-place.ts";
import { CALL_TIMEOUT_MS } from "./service-place.ts";

const CONTACTS = 2_000;
// Codes are drawn anew where another invite of the channel has them: few have, with so many channels.
const CHANNELS = 1_000;

/** Invites.CreateInvite at the gateway of a pair, as who may have to send it again calls it: with a request_id. */
export async function createInvites(place: LoadPlace): Promise<Caller> {
  const { address, databases } = pairOf(place);
  const contacts = await fillPair(databases, CONTACTS);
  const channel = createChannel({ address });
  const invites = createClient(Invites, channel);
  return {
    call: async () => {
      const contactId = contacts[Number(pick(CONTACTS)) - 1]?.contactId ?? "";
      const { invite, secrets } = await invites.createInvite(
        { requestId: newRequestId(), invite: { contactId, sourceChannel: `bench-${pick(CHANNELS)}` } },
        { timeoutMs: CALL_TIMEOUT_MS },
      );
      const isCreated = invite?.contactId === contactId && invite.version === 1n;
      if (!isCreated || !secrets?.token || !secrets.code) throw new Error("No invite was created.");
    },
    close: () => channel.close(),
  };
}
