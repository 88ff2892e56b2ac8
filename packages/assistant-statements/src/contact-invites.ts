import { defineStatement } from "@tandem/statements";

/**
 * Removes the invites of a contact from the assistant's database, which no foreign key does there: to be run behind the
 * contact's own removal, when nobody can make another one.
 */
export const removeInvitesOfContact = defineStatement({
  name: "contacts.remove_invites",
  params: { id: "uuid" },
  sql: "DELETE FROM assistant_ingress_invites WHERE contact_id = $1",
});
