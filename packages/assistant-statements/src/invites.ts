import { defineStatement } from "@tandem/statements";

/** The table of invites in the database of either service: the rest is the same. */
export type InviteTable = "ingress_invites" | "assistant_ingress_invites";

const inviteRow = {
  id: "uuid",
  contact_id: "uuid",
  source_channel: "text",
  key_id: "text",
  token_hash: "bytea | null",
  invite_code_hash: "bytea | null",
  voice_code_hash: "bytea | null",
  voice_code_digits: "int4 | null",
  expected_external_user_id: "text | null",
  source_conversation_id: "text | null",
  friend_name: "text | null",
  guardian_name: "text | null",
  note: "text | null",
  max_uses: "int4",
  use_count: "int4",
  expires_at: "timestamptz",
  status: "text",
  redeemed_by_external_user_id: "text | null",
  redeemed_by_external_chat_id: "text | null",
  redeemed_at: "timestamptz | null",
  version: "int8",
  created_at: "timestamptz",
  updated_at: "timestamptz",
} as const;

const COLUMNS = Object.keys(inviteRow).join(", ");

const pageParams = {
  sourceChannel: "text | null",
  status: "text | null",
  beforeTime: "timestamptz | null",
  beforeId: "uuid | null",
  maxRows: "int4",
} as const;

const PAGE_FILTERS = `($1::text IS NULL OR source_channel = $1) AND ($2::text IS NULL OR status = $2)
          AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4::uuid))`;

/** What is done with invites, in the database that decides. */
export function inviteStatements(table: InviteTable) {
  return { ...lookUps(table), ...changes(table) } as const;
}

function lookUps(table: InviteTable) {
  const byHash = (name: string, column: string) =>
    defineStatement({
      name: `invites.${name}`,
      params: { hashes: "bytea[]" },
      // What lives comes first. Of a code several can be there: one a channel, and what is over.
      sql: `
        SELECT ${COLUMNS} FROM ${table} WHERE ${column} = ANY ($1)
        ORDER BY status = 'active' DESC, created_at DESC LIMIT 100`,
      result: inviteRow,
    });
  return {
    byToken: byHash("by_token", "token_hash"),
    byCode: byHash("by_code", "invite_code_hash"),
    byVoiceCode: byHash("by_voice_code", "voice_code_hash"),
    byId: defineStatement({
      name: "invites.by_id",
      params: { id: "uuid" },
      sql: `SELECT ${COLUMNS} FROM ${table} WHERE id = $1`,
      result: inviteRow,
    }),
    /** The newest first; what is NULL says nothing. */
    page: defineStatement({
      name: "invites.page",
      params: pageParams,
      sql: `
        SELECT ${COLUMNS} FROM ${table}
        WHERE ${PAGE_FILTERS} ORDER BY created_at DESC, id DESC LIMIT $5::int4`,
      result: inviteRow,
    }),
    /** The same of a contact: a statement of its own, so that a plan which is kept looks for the contact's. */
    pageOfContact: defineStatement({
      name: "invites.page_of_contact",
      params: { ...pageParams, contactId: "uuid" },
      sql: `
        SELECT ${COLUMNS} FROM ${table}
        WHERE contact_id = $6 AND ${PAGE_FILTERS} ORDER BY created_at DESC, id DESC LIMIT $5::int4`,
      result: inviteRow,
    }),
  } as const;
}

function changes(table: InviteTable) {
  return {
    /** Records one use. Changes no row where none is left. */
    claim: defineStatement({
      name: "invites.claim",
      params: { id: "uuid", externalUserId: "text | null", externalChatId: "text | null" },
      sql: `
        UPDATE ${table} SET
          use_count = use_count + 1,
          status = CASE WHEN use_count + 1 >= max_uses THEN 'redeemed' ELSE status END,
          redeemed_by_external_user_id = $2, redeemed_by_external_chat_id = $3, redeemed_at = now()
        WHERE id = $1 AND status = 'active' AND use_count < max_uses AND expires_at > now()
        RETURNING ${COLUMNS}`,
      result: inviteRow,
    }),
    revoke: defineStatement({
      name: "invites.revoke",
      params: { id: "uuid" },
      sql: `UPDATE ${table} SET status = 'revoked' WHERE id = $1 AND status = 'active' RETURNING ${COLUMNS}`,
      result: inviteRow,
    }),
    /** Marks some of those that nobody can redeem any more. */
    expire: defineStatement({
      name: "invites.expire",
      params: { maxRows: "int4" },
      sql: `
        UPDATE ${table} SET status = 'expired' WHERE id IN (
          SELECT id FROM ${table} WHERE status = 'active' AND expires_at <= now()
          ORDER BY expires_at LIMIT $1::int4 FOR UPDATE SKIP LOCKED
        ) RETURNING id`,
      result: { id: "uuid" },
    }),
  } as const;
}

/** Who redeems, as a channel knows them. */
export const channelStatements = {
  /** Locks the contacts that a redemption changes, before anything else: the invite's, and the one that has the address. */
  lockContacts: defineStatement({
    name: "contact_channels.lock_contacts_of_redemption",
    params: { contactId: "uuid", type: "text", address: "text" },
    sql: `
      SELECT id FROM contacts
      WHERE id = $1 OR id = (SELECT contact_id FROM contact_channels WHERE type = $2 AND address = $3)
      ORDER BY id FOR UPDATE`,
    result: { id: "uuid" },
  }),
  /**
   * Lets a channel in as its contact's. Changes no row where it is blocked, or another channel of the same user is, or
   * where it is in and this contact's already; another contact's becomes this one's.
   */
  admit: defineStatement({
    name: "contact_channels.admit",
    params: {
      id: "uuid",
      contactId: "uuid",
      type: "text",
      address: "text",
      externalUserId: "text | null",
      externalChatId: "text | null",
    },
    sql: `
      INSERT INTO contact_channels AS old (
        id, contact_id, type, address, external_user_id, external_chat_id, status, policy, verified_at, verified_via
      )
      SELECT $1::uuid, $2::uuid, $3, $4, $5, $6, 'active', 'allow', now(), 'invite'
      WHERE NOT EXISTS (
        SELECT FROM contact_channels WHERE type = $3 AND external_user_id = $5 AND status = 'blocked'
      )
      ON CONFLICT (type, address) DO UPDATE SET
        contact_id = EXCLUDED.contact_id,
        external_user_id = coalesce(EXCLUDED.external_user_id, old.external_user_id),
        external_chat_id = coalesce(EXCLUDED.external_chat_id, old.external_chat_id),
        is_primary = old.is_primary AND old.contact_id = EXCLUDED.contact_id,
        status = 'active', policy = 'allow', verified_at = now(), verified_via = 'invite', revoked_reason = NULL
        WHERE old.status <> 'blocked' AND NOT (old.status = 'active' AND old.contact_id = EXCLUDED.contact_id)
      RETURNING id, contact_id AS "contactId"`,
    result: { id: "uuid", contactId: "uuid" },
  }),
  /** The redeemer's channel, and what is blocked of theirs, which comes first. */
  standing: defineStatement({
    name: "contact_channels.standing",
    params: { type: "text", address: "text", externalUserId: "text | null" },
    sql: `
      SELECT id, contact_id AS "contactId", status FROM contact_channels
      WHERE type = $1 AND (address = $2 OR (external_user_id = $3 AND status = 'blocked'))
      ORDER BY status = 'blocked' DESC LIMIT 1`,
    result: { id: "uuid", contactId: "uuid", status: "text" },
  }),
} as const;
