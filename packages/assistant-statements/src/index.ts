export {
  changeChannel,
  channelById,
  countInteractions,
  keepOnePrimary,
  lockContactOfChannel,
  lockContactsOfAddresses,
  ownersOfAddresses,
} from "./contact-channels.ts";
export {
  contactOfAddress,
  contactsPage,
  contactWithChannels,
  removeContact,
  upsertContact,
  upsertContactWithChannels,
} from "./contacts.ts";
export { assistantInvites, assistantStatements, decidingStatements } from "./assistant-statements.ts";
export { channelStatements, inviteStatements, type InviteTable } from "./invites.ts";
export { type Aggregate, authorityStatements, mirrorStatements } from "./mirror.ts";
