import { defineStatement } from "@tandem/statements";

/**
 * Changes the contact that has this id, or makes it. An empty name keeps the one that it has; one that is to be made
 * needs a name. With an expected version it has to be of that version; with 0 it must not be there yet. Changes one
 * row, or none where it is otherwise.
 */
export const upsertContact = defineStatement({
  name: "contacts.upsert",
  params: { id: "uuid", displayName: "text", expectedVersion: "int8 | null" },
  sql: `
    MERGE INTO contacts c
    USING (SELECT $1::uuid AS id) AS given ON c.id = given.id
    WHEN MATCHED AND ($3::int8 IS NULL OR c.version = $3) THEN
      UPDATE SET display_name = coalesce(nullif($2::text, ''), c.display_name)
    WHEN NOT MATCHED AND $2 <> '' AND coalesce($3, 0) = 0 THEN
      INSERT (id, display_name) VALUES (given.id, $2)`,
});

/**
 * The same of the contact that has this id, or else that owns one of these addresses, or else of a new one; and gives it
 * channels. Of a channel that it has already the external ids change where they are given. Changes one row for each
 * channel, and fewer where the contact is otherwise than expected, or an address is another contact's: everything is
 * to be rolled back then.
 */
export const upsertContactWithChannels = defineStatement({
  name: "contacts.upsert_with_channels",
  params: {
    id: "uuid | null",
    newId: "uuid",
    displayName: "text",
    expectedVersion: "int8 | null",
    channelIds: "uuid[]",
    types: "text[]",
    addresses: "text[]",
    externalUserIds: "text[]",
    externalChatIds: "text[]",
    primaries: "bool[]",
  },
  sql: `
    WITH given AS (
      SELECT * FROM unnest($5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bool[]) WITH ORDINALITY
        AS channel(id, type, address, external_user_id, external_chat_id, is_primary, place)
    ), contact AS (
      MERGE INTO contacts c
      USING (
        SELECT coalesce(
          $1::uuid,
          (SELECT owned.contact_id FROM contact_channels owned JOIN given USING (type, address) ORDER BY place LIMIT 1),
          $2::uuid
        ) AS id
      ) AS target ON c.id = target.id
      WHEN MATCHED AND ($4::int8 IS NULL OR c.version = $4) THEN
        UPDATE SET display_name = coalesce(nullif($3::text, ''), c.display_name)
      WHEN NOT MATCHED AND $3 <> '' AND coalesce($4, 0) = 0 THEN
        INSERT (id, display_name) VALUES (target.id, $3)
      RETURNING c.id
    )
    INSERT INTO contact_channels AS held (id, contact_id, type, address, external_user_id, external_chat_id, is_primary)
    SELECT given.id, contact.id, given.type, given.address, given.external_user_id, given.external_chat_id, given.is_primary
    FROM contact CROSS JOIN given ORDER BY given.type, given.address
    ON CONFLICT (type, address) DO UPDATE SET
      external_user_id = coalesce(EXCLUDED.external_user_id, held.external_user_id),
      external_chat_id = coalesce(EXCLUDED.external_chat_id, held.external_chat_id),
      is_primary = held.is_primary OR EXCLUDED.is_primary
      WHERE held.contact_id = EXCLUDED.contact_id`,
});

/** Removes a contact with its channels and invites. Changes one row, or none where there is none. */
export const removeContact = defineStatement({
  name: "contacts.remove",
  params: { id: "uuid" },
  sql: "DELETE FROM contacts WHERE id = $1",
});

const contactColumns = `
  c.id, c.version, c.display_name AS "displayName", c.role,
  (extract(epoch FROM c.created_at) * 1000000)::int8 AS "createdMicros",
  (extract(epoch FROM c.updated_at) * 1000000)::int8 AS "updatedMicros",
  ch.id AS "channelId", ch.type, ch.address, ch.external_user_id AS "externalUserId",
  ch.external_chat_id AS "externalChatId", ch.is_primary AS "isPrimary", ch.status, ch.policy,
  (extract(epoch FROM ch.verified_at) * 1000000)::int8 AS "verifiedMicros", ch.verified_via AS "verifiedVia",
  ch.revoked_reason AS "revokedReason", ch.blocked_reason AS "blockedReason",
  (extract(epoch FROM ch.last_seen_at) * 1000000)::int8 AS "lastSeenMicros",
  ch.interaction_count AS "interactionCount", ch.version AS "channelVersion",
  (extract(epoch FROM ch.created_at) * 1000000)::int8 AS "channelCreatedMicros",
  (extract(epoch FROM ch.updated_at) * 1000000)::int8 AS "channelUpdatedMicros"`;

const contactResult = {
  id: "uuid",
  version: "int8",
  displayName: "text",
  role: "text",
  createdMicros: "int8",
  updatedMicros: "int8",
  // NULL, all of them, where the contact has no channel.
  channelId: "uuid | null",
  type: "text | null",
  address: "text | null",
  externalUserId: "text | null",
  externalChatId: "text | null",
  isPrimary: "bool | null",
  status: "text | null",
  policy: "text | null",
  verifiedMicros: "int8 | null",
  verifiedVia: "text | null",
  revokedReason: "text | null",
  blockedReason: "text | null",
  lastSeenMicros: "int8 | null",
  interactionCount: "int8 | null",
  channelVersion: "int8 | null",
  channelCreatedMicros: "int8 | null",
  channelUpdatedMicros: "int8 | null",
} as const;

/** A contact with its channels: a row for each, or one without any. Times are microseconds since 1970. */
export const contactWithChannels = defineStatement({
  name: "contacts.with_channels",
  params: { id: "uuid" },
  sql: `
    SELECT ${contactColumns}
    FROM contacts c LEFT JOIN contact_channels ch ON ch.contact_id = c.id
    WHERE c.id = $1 ORDER BY ch.type, ch.id`,
  result: contactResult,
});

/** The same of the contact that owns an address. */
export const contactOfAddress = defineStatement({
  name: "contacts.of_address",
  params: { type: "text", address: "text" },
  sql: `
    SELECT ${contactColumns}
    FROM contact_channels owned JOIN contacts c ON c.id = owned.contact_id JOIN contact_channels ch ON ch.contact_id = c.id
    WHERE owned.type = $1 AND owned.address = $2 ORDER BY ch.type, ch.id`,
  result: contactResult,
});

/** The same of so many contacts, in the order of their ids, beginning behind one. */
export const contactsPage = defineStatement({
  name: "contacts.page",
  params: { after: "uuid", count: "int8" },
  sql: `
    WITH c AS MATERIALIZED (SELECT * FROM contacts WHERE id > $1 ORDER BY id LIMIT $2)
    SELECT ${contactColumns}
    FROM c LEFT JOIN contact_channels ch ON ch.contact_id = c.id
    ORDER BY c.id, ch.type, ch.id`,
  result: contactResult,
});
