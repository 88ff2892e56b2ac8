import type { DeclaredStatement } from "@tandem/statements";
import {
  changeChannel,
  channelById,
  countInteractions,
  keepOnePrimary,
  lockContactOfChannel,
  lockContactsOfAddresses,
  ownersOfAddresses,
} from "./contact-channels.ts";
import {
  contactOfAddress,
  contactsPage,
  contactWithChannels,
  removeContact,
  upsertContact,
  upsertContactWithChannels,
} from "./contacts.ts";
import { channelStatements, inviteStatements } from "./invites.ts";
import { allMirrorStatements, mirrorStatements } from "./mirror.ts";

/** What is done with the assistant's invites. */
export const assistantInvites = inviteStatements("assistant_ingress_invites");

/** Everything that the assistant registers when it starts. */
export const assistantStatements: readonly DeclaredStatement[] = [
  upsertContact,
  upsertContactWithChannels,
  removeContact,
  contactWithChannels,
  contactOfAddress,
  contactsPage,
  lockContactOfChannel,
  lockContactsOfAddresses,
  keepOnePrimary,
  ownersOfAddresses,
  channelById,
  changeChannel,
  countInteractions,
  ...allMirrorStatements,
  ...Object.values(channelStatements),
  ...Object.values(assistantInvites),
];

const brought: ReadonlySet<DeclaredStatement> = new Set(allMirrorStatements);

/** The names of those by which the gateway works on what the assistant decides about: the mirror lacks what they wrote. */
export const decidingStatements: ReadonlySet<string> = new Set(
  [
    ...assistantStatements.filter((statement) => !brought.has(statement)),
    mirrorStatements.contact.recover,
    mirrorStatements.invite.recover,
  ].map(({ name }) => name),
);
