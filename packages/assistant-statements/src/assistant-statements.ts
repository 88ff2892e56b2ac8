import type { DeclaredStatement } from "@tandem/statements";
import { channelsOfContact, putChannel, removeChannel } from "./contact-channels.ts";
import { channelStatements, inviteStatements } from "./invites.ts";
import { allMirrorStatements } from "./mirror.ts";
import { contactById, putContact, removeContact } from "./contacts.ts";

/** What is done with the assistant's invites. */
export const assistantInvites = inviteStatements("assistant_ingress_invites");

/** Everything that the assistant registers when it starts. */
export const assistantStatements: readonly DeclaredStatement[] = [
  putContact,
  removeContact,
  contactById,
  putChannel,
  removeChannel,
  channelsOfContact,
  ...allMirrorStatements,
  ...Object.values(channelStatements),
  ...Object.values(assistantInvites),
];
