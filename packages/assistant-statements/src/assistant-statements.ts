import type { DeclaredStatement } from "@tandem/statements";
import { channelsOfContact, putChannel, removeChannel } from "./contact-channels.ts";
import { allMirrorStatements } from "./mirror.ts";
import { contactById, putContact, removeContact } from "./contacts.ts";

/** Everything that the assistant registers when it starts. */
export const assistantStatements: readonly DeclaredStatement[] = [
  putContact,
  removeContact,
  contactById,
  putChannel,
  removeChannel,
  channelsOfContact,
  ...allMirrorStatements,
];
