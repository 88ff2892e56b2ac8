export { channelsOfContact, putChannel, removeChannel } from "./contact-channels.ts";
export { contactById, putContact, removeContact } from "./contacts.ts";
export { assistantInvites, assistantStatements } from "./assistant-statements.ts";
export { channelStatements, inviteStatements, type InviteTable } from "./invites.ts";
export { type Aggregate, authorityStatements, mirrorStatements } from "./mirror.ts";
