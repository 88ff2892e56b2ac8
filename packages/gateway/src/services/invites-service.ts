import { type Invites as InvitesService, RedeemOutcome } from "@tandem/contract/tandem/gateway/v1/invites";
import { toInvite } from "@tandem/invites";
import type { Handlers } from "@tandem/rpc";
import type { Invites } from "../invites/invites.ts";

const outcomes = {
  redeemed: RedeemOutcome.REDEEMED,
  "already member": RedeemOutcome.ALREADY_MEMBER,
} as const;

/** tandem.gateway.v1.Invites. */
export function invitesHandlers(invites: () => Invites): Handlers<typeof InvitesService> {
  return {
    createInvite: (request, context) => invites().create(request, context),
    getInvite: async ({ id }, context) => ({ invite: await invites().get(id, context) }),
    listInvites: (request, context) => invites().list(request, context),
    revokeInvite: async (request, context) => ({ invite: await invites().revoke(request, context) }),
    redeemInvite: async (request, context) => {
      const { invite, contactId, contactChannelId, outcome } = await invites().redeem(request, context);
      return { invite: toInvite(invite), contactId, contactChannelId, outcome: outcomes[outcome] };
    },
  };
}
