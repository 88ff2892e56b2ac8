import { randomUUID } from "node:crypto";
import { Invites, RedeemOutcome } from "@tandem/contract/tandem/gateway/v1/invites";
import { newRequestId } from "@tandem/dbproxy";
import { createChannel, createClient } from "@tandem/rpc";
import type { Caller, LoadPlace } from "../row.ts";
import { pick } from "../workloads/workload.ts";
import { fillPair } from "./fill-pair.ts";
import { pairOf } from "./pair-place.ts";
import { CALL_TIMEOUT_MS } from "./service-place.ts";

// Of which each is redeemed several times: who comes next seldom waits for the one before, and no contact gets many
// channels, all of which are brought to the mirror with it.
const INVITES = 10_000;

/** Invites.RedeemInvite at the gateway of a pair, by its token; each call is of somebody who is new there. */
export async function redeemInvites(place: LoadPlace): Promise<Caller> {
  const { address, databases } = pairOf(place);
  const pool = await fillPair(databases, INVITES);
  const channel = createChannel({ address });
  const invites = createClient(Invites, channel);
  return {
    call: async () => {
      const { contactId, token } = pool[Number(pick(INVITES)) - 1] ?? { contactId: "", token: "" };
      const redeemed = await invites.redeemInvite(
        {
          requestId: newRequestId(),
          secret: { case: "token", value: token },
          sourceChannel: "bench",
          externalUserId: randomUUID(),
        },
        { timeoutMs: CALL_TIMEOUT_MS },
      );
      const isIn = redeemed.outcome === RedeemOutcome.REDEEMED && redeemed.contactId === contactId;
      if (!isIn) throw new Error("The invite was not redeemed.");
    },
    close: () => channel.close(),
  };
}
