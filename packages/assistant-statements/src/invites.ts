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
      params: {
        contactId: "uuid | null",
        sourceChannel: "text | null",
        status: "text | null",
        beforeTime: "timestamptz | null",
        beforeId: "uuid | null",
        maxRows: "int4",
      },
      sql: `
        SELECT ${COLUMNS} FROM ${table}
        WHERE ($1::uuid IS NULL OR contact_id = $1) AND ($2::text IS NULL OR source_channel = $2)
          AND ($3::text IS NULL OR status = $3)
          AND ($4::timestamptz IS NULL OR (created_at, id) < ($4, $5::uuid))
        ORDER BY created_at DESC, id DESC LIMIT $6::int4`,
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
  /**
   * Lets a channel in as its contact's. Changes no row where it is blocked, or where it is in and this contact's already;
   * another contact's becomes this one's.
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
      ) VALUES ($1, $2, $3, $4, $5, $6, 'active', 'allow', now(), 'invite')
      ON CONFLICT (type, address) DO UPDATE SET
        contact_id = EXCLUDED.contact_id,
        external_user_id = coalesce(EXCLUDED.external_user_id, old.external_user_id),
        external_chat_id = coalesce(EXCLUDED.external_chat_id, old.external_chat_id),
        status = 'active', policy = 'allow', verified_at = now(), verified_via = 'invite', revoked_reason = NULL
        WHERE old.status <> 'blocked' AND NOT (old.status = 'active' AND old.contact_id = EXCLUDED.contact_id)
      RETURNING id, contact_id AS "contactId"`,
    result: { id: "uuid", contactId: "uuid" },
  }),
  byAddress: defineStatement({
    name: "contact_channels.by_address",
    params: { type: "text", address: "text" },
    sql: `SELECT id, contact_id AS "contactId", status FROM contact_channels WHERE type = $1 AND address = $2`,
    result: { id: "uuid", contactId: "uuid", status: "text" },
  }),
} as const;
