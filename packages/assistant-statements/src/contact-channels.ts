import { defineStatement } from "@tandem/statements";

/**
 * Brings the assistant's copy of a channel to a version, or makes it; its contact must be there. Changes one row,
 * or none where the copy is of that version or a later one already. What the assistant counts itself (when the
 * channel was last seen, how often it was used) stays.
 */
export const putChannel = defineStatement({
  name: "contact_channels.put",
  params: {
    id: "uuid",
    contactId: "uuid",
    type: "text",
    address: "text",
    externalUserId: "text | null",
    externalChatId: "text | null",
    isPrimary: "bool",
    status: "text",
    policy: "text",
    verifiedAt: "timestamptz | null",
    verifiedVia: "text | null",
    revokedReason: "text | null",
    blockedReason: "text | null",
    version: "int8",
  },
  sql: `
    INSERT INTO contact_channels (
      id, contact_id, type, address, external_user_id, external_chat_id, is_primary, status, policy,
      verified_at, verified_via, revoked_reason, blocked_reason, version
    ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
    ON CONFLICT (id) DO UPDATE SET
      contact_id = EXCLUDED.contact_id, type = EXCLUDED.type, address = EXCLUDED.address,
      external_user_id = EXCLUDED.external_user_id, external_chat_id = EXCLUDED.external_chat_id,
      is_primary = EXCLUDED.is_primary, status = EXCLUDED.status, policy = EXCLUDED.policy,
      verified_at = EXCLUDED.verified_at, verified_via = EXCLUDED.verified_via,
      revoked_reason = EXCLUDED.revoked_reason, blocked_reason = EXCLUDED.blocked_reason,
      version = EXCLUDED.version, updated_at = now()
      WHERE contact_channels.version < EXCLUDED.version
    RETURNING id, version`,
  result: { id: "uuid", version: "int8" },
});

/** Removes the copy of a channel. Changes no row where there is none. */
export const removeChannel = defineStatement({
  name: "contact_channels.remove",
  params: { id: "uuid" },
  sql: "DELETE FROM contact_channels WHERE id = $1",
});

/** The channels of a contact, the oldest id first. */
export const channelsOfContact = defineStatement({
  name: "contact_channels.of_contact",
  params: { contactId: "uuid" },
  sql: `
    SELECT id, type, address, is_primary AS "isPrimary", status, policy, verified_at AS "verifiedAt",
           last_seen_at AS "lastSeenAt", interaction_count AS "interactionCount", version
    FROM contact_channels WHERE contact_id = $1 ORDER BY id`,
  result: {
    id: "uuid",
    type: "text",
    address: "text",
    isPrimary: "bool",
    status: "text",
    policy: "text",
    verifiedAt: "timestamptz | null",
    lastSeenAt: "timestamptz | null",
    interactionCount: "int8",
    version: "int8",
  },
});
