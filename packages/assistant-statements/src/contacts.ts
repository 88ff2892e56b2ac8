import { defineStatement } from "@tandem/statements";

/**
 * Brings the assistant's copy of a contact to a version, or makes it. Changes one row, or none where the copy is of
 * that version or a later one already: what comes late, or again, undoes nothing.
 */
export const putContact = defineStatement({
  name: "contacts.put",
  params: { id: "uuid", displayName: "text", version: "int8" },
  sql: `
    INSERT INTO contacts (id, display_name, version) VALUES ($1, $2, $3)
    ON CONFLICT (id) DO UPDATE
      SET display_name = EXCLUDED.display_name, version = EXCLUDED.version, updated_at = now()
      WHERE contacts.version < EXCLUDED.version
    RETURNING id, version`,
  result: { id: "uuid", version: "int8" },
});

/** Removes the copy of a contact with its channels. Changes no row where there is none. */
export const removeContact = defineStatement({
  name: "contacts.remove",
  params: { id: "uuid" },
  sql: "DELETE FROM contacts WHERE id = $1",
});

export const contactById = defineStatement({
  name: "contacts.by_id",
  params: { id: "uuid" },
  sql: `
    SELECT id, display_name AS "displayName", role, version, updated_at AS "updatedAt"
    FROM contacts WHERE id = $1`,
  result: { id: "uuid", displayName: "text", role: "text", version: "int8", updatedAt: "timestamptz" },
});
