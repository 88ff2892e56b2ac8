import { defineStatement } from "@tandem/statements";

// Whoever writes channels locks their contacts first, in the order of their ids, as an upsert and a deletion of a contact
// do by themselves: then nobody waits for somebody who waits for it.

/** Locks the contact that owns a channel. Gives no row where there is none. */
export const lockContactOfChannel = defineStatement({
  name: "contact_channels.lock_contact",
  params: { id: "uuid" },
  sql: `
    SELECT id FROM contacts WHERE id = (SELECT contact_id FROM contact_channels WHERE id = $1) FOR UPDATE`,
  result: { id: "uuid" },
});

/** Locks the contacts that own these addresses. */
export const lockContactsOfAddresses = defineStatement({
  name: "contact_channels.lock_contacts",
  params: { types: "text[]", addresses: "text[]" },
  sql: `
    SELECT id FROM contacts
    WHERE id IN (
      SELECT contact_id FROM contact_channels
      JOIN unnest($1::text[], $2::text[]) AS given(type, address) USING (type, address)
    )
    ORDER BY id FOR UPDATE`,
  result: { id: "uuid" },
});

/** Takes the primary mark from the other channels of the type that the owners of these addresses have. */
export const keepOnePrimary = defineStatement({
  name: "contact_channels.keep_one_primary",
  params: { types: "text[]", addresses: "text[]" },
  sql: `
    UPDATE contact_channels other SET is_primary = false
    FROM unnest($1::text[], $2::text[]) AS given(type, address)
    JOIN contact_channels kept ON kept.type = given.type AND kept.address = given.address
    WHERE other.contact_id = kept.contact_id AND other.type = kept.type AND other.id <> kept.id AND other.is_primary`,
});

/** Whose these addresses are; of one that is nobody's there is no row. */
export const ownersOfAddresses = defineStatement({
  name: "contact_channels.owners",
  params: { types: "text[]", addresses: "text[]" },
  sql: `
    SELECT type, address, contact_id AS "contactId" FROM contact_channels
    JOIN unnest($1::text[], $2::text[]) AS given(type, address) USING (type, address)`,
  result: { type: "text", address: "text", contactId: "uuid" },
});

const channelColumns = `
  id, contact_id AS "contactId", type, address, external_user_id AS "externalUserId",
  external_chat_id AS "externalChatId", is_primary AS "isPrimary", status, policy,
  (extract(epoch FROM verified_at) * 1000000)::int8 AS "verifiedMicros", verified_via AS "verifiedVia",
  revoked_reason AS "revokedReason", blocked_reason AS "blockedReason",
  (extract(epoch FROM last_seen_at) * 1000000)::int8 AS "lastSeenMicros",
  interaction_count AS "interactionCount", version AS "channelVersion",
  (extract(epoch FROM created_at) * 1000000)::int8 AS "channelCreatedMicros",
  (extract(epoch FROM updated_at) * 1000000)::int8 AS "channelUpdatedMicros"`;

const channelResult = {
  id: "uuid",
  contactId: "uuid",
  type: "text",
  address: "text",
  externalUserId: "text | null",
  externalChatId: "text | null",
  isPrimary: "bool",
  status: "text",
  policy: "text",
  verifiedMicros: "int8 | null",
  verifiedVia: "text | null",
  revokedReason: "text | null",
  blockedReason: "text | null",
  lastSeenMicros: "int8 | null",
  interactionCount: "int8",
  channelVersion: "int8",
  channelCreatedMicros: "int8",
  channelUpdatedMicros: "int8",
} as const;

/** A channel. Times are microseconds since 1970. */
export const channelById = defineStatement({
  name: "contact_channels.by_id",
  params: { id: "uuid" },
  sql: `SELECT ${channelColumns} FROM contact_channels WHERE id = $1`,
  result: channelResult,
});

/**
 * Changes status and policy of a channel where they are given. Who becomes active is verified, now; a reason is that of
 * the status it was given with, and goes with it. Changes one row, or none where the channel isn't there or isn't of
 * the expected version.
 */
export const changeChannel = defineStatement({
  name: "contact_channels.change",
  params: {
    id: "uuid",
    status: "text | null",
    policy: "text | null",
    reason: "text | null",
    verifiedVia: "text | null",
    expectedVersion: "int8 | null",
  },
  sql: `
    UPDATE contact_channels SET
      status = coalesce($2::text, status),
      policy = coalesce($3::text, policy),
      verified_at = CASE WHEN $2 = 'active' THEN now() ELSE verified_at END,
      verified_via = CASE WHEN $2 = 'active' THEN $5::text ELSE verified_via END,
      revoked_reason = CASE WHEN $2 IS NULL THEN revoked_reason WHEN $2 = 'revoked' THEN $4::text END,
      blocked_reason = CASE WHEN $2 IS NULL THEN blocked_reason WHEN $2 = 'blocked' THEN $4 END
    WHERE id = $1 AND ($6::int8 IS NULL OR version = $6)
    RETURNING ${channelColumns}`,
  result: channelResult,
});

/** Counts interactions over channels, each address once. Those that are nobody's are left out. */
export const countInteractions = defineStatement({
  name: "contact_channels.count_interactions",
  params: { types: "text[]", addresses: "text[]", counts: "int8[]", seenAt: "timestamptz[]" },
  sql: `
    UPDATE contact_channels held SET
      interaction_count = held.interaction_count + seen.interactions,
      last_seen_at = greatest(held.last_seen_at, seen.at)
    FROM unnest($1::text[], $2::text[], $3::int8[], $4::timestamptz[]) AS seen(type, address, interactions, at)
    WHERE held.type = seen.type AND held.address = seen.address`,
});
