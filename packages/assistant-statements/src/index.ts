export { channelsOfContact, putChannel, removeChannel } from "./contact-channels.ts";
export { contactById, putContact, removeContact } from "./contacts.ts";
export { assistantStatements } from "./assistant-statements.ts";
export { type Aggregate, authorityStatements, mirrorStatements } from "./mirror.ts";
