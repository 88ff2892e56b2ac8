import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  check,
  customType,
  index,
  integer,
  pgTable,
  text,
  timestamp,
  unique,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";

// Text in PostgreSQL's own form: a Date has no microseconds, and the value would come back as another one.
const instant = (name: string) => timestamp(name, { withTimezone: true, precision: 6, mode: "string" });

const bytea = customType<{ data: Uint8Array }>({ dataType: () => "bytea" });

/** The assistant's copy of who may reach it. The id is a UUID that the application made. */
export const contacts = pgTable("contacts", {
  id: uuid("id").primaryKey(),
  displayName: text("display_name").notNull(),
  /** Never taken from a request. */
  role: text("role").notNull().default("contact"),
  version: bigint("version", { mode: "bigint" })
    .notNull()
    .default(sql`1`),
  createdAt: instant("created_at").notNull().defaultNow(),
  updatedAt: instant("updated_at").notNull().defaultNow(),
});

/** An address over which a contact is reached. Deleted with the contact. */
export const contactChannels = pgTable(
  "contact_channels",
  {
    id: uuid("id").primaryKey(),
    contactId: uuid("contact_id")
      .notNull()
      .references(() => contacts.id, { onDelete: "cascade" }),
    type: text("type").notNull(),
    /** In the canonical form of its type. */
    address: text("address").notNull(),
    externalUserId: text("external_user_id"),
    externalChatId: text("external_chat_id"),
    isPrimary: boolean("is_primary").notNull().default(false),
    status: text("status", { enum: ["unverified", "pending", "active", "revoked", "blocked"] })
      .notNull()
      .default("unverified"),
    policy: text("policy", { enum: ["allow", "deny"] })
      .notNull()
      .default("allow"),
    verifiedAt: instant("verified_at"),
    verifiedVia: text("verified_via"),
    revokedReason: text("revoked_reason"),
    blockedReason: text("blocked_reason"),
    lastSeenAt: instant("last_seen_at"),
    interactionCount: bigint("interaction_count", { mode: "bigint" })
      .notNull()
      .default(sql`0`),
    version: bigint("version", { mode: "bigint" })
      .notNull()
      .default(sql`1`),
    createdAt: instant("created_at").notNull().defaultNow(),
    updatedAt: instant("updated_at").notNull().defaultNow(),
  },
  (table) => [
    unique("contact_channels_type_address_key").on(table.type, table.address),
    // What a deletion of the contact looks for.
    index("contact_channels_contact_id_idx").on(table.contactId),
    index("contact_channels_type_external_user_id_idx").on(table.type, table.externalUserId),
    index("contact_channels_type_external_chat_id_idx").on(table.type, table.externalChatId),
    check(
      "contact_channels_status_check",
      sql`${table.status} IN ('unverified', 'pending', 'active', 'revoked', 'blocked')`,
    ),
    check("contact_channels_policy_check", sql`${table.policy} IN ('allow', 'deny')`),
    check("contact_channels_interaction_count_check", sql`${table.interactionCount} >= 0`),
  ],
);

/** An invitation of a contact to reach the assistant over a channel. Contacts are the gateway's in the end: none is referred to. */
export const assistantIngressInvites = pgTable(
  "assistant_ingress_invites",
  {
    id: uuid("id").primaryKey(),
    contactId: uuid("contact_id").notNull(),
    sourceChannel: text("source_channel").notNull(),
    /** Of the secrets the hashes are kept, under the key with this id. */
    keyId: text("key_id").notNull(),
    tokenHash: bytea("token_hash"),
    inviteCodeHash: bytea("invite_code_hash"),
    voiceCodeHash: bytea("voice_code_hash"),
    voiceCodeDigits: integer("voice_code_digits"),
    expectedExternalUserId: text("expected_external_user_id"),
    sourceConversationId: text("source_conversation_id"),
    friendName: text("friend_name"),
    guardianName: text("guardian_name"),
    note: text("note"),
    maxUses: integer("max_uses").notNull().default(1),
    useCount: integer("use_count").notNull().default(0),
    expiresAt: instant("expires_at").notNull(),
    status: text("status", { enum: ["active", "redeemed", "revoked", "expired"] })
      .notNull()
      .default("active"),
    redeemedByExternalUserId: text("redeemed_by_external_user_id"),
    redeemedByExternalChatId: text("redeemed_by_external_chat_id"),
    redeemedAt: instant("redeemed_at"),
    version: bigint("version", { mode: "bigint" })
      .notNull()
      .default(sql`1`),
    createdAt: instant("created_at").notNull().defaultNow(),
    updatedAt: instant("updated_at").notNull().defaultNow(),
  },
  (table) => [
    // What lives can be looked up by each of its secrets, and by nothing that another one has.
    uniqueIndex("assistant_ingress_invites_token_hash_key")
      .on(table.tokenHash)
      .where(sql`status = 'active'`),
    uniqueIndex("assistant_ingress_invites_invite_code_hash_key")
      .on(table.inviteCodeHash, table.sourceChannel)
      .where(sql`status = 'active'`),
    uniqueIndex("assistant_ingress_invites_voice_code_hash_key")
      .on(table.voiceCodeHash, table.sourceChannel)
      .where(sql`status = 'active'`),
    // What was redeemed, revoked or let expire is found by its secret as well, to say so.
    index("assistant_ingress_invites_token_hash_idx").on(table.tokenHash),
    index("assistant_ingress_invites_invite_code_hash_idx").on(table.inviteCodeHash),
    index("assistant_ingress_invites_voice_code_hash_idx").on(table.voiceCodeHash),
    index("assistant_ingress_invites_contact_id_idx").on(table.contactId),
    index("assistant_ingress_invites_created_at_idx").on(table.createdAt, table.id),
    index("assistant_ingress_invites_expires_at_idx")
      .on(table.expiresAt)
      .where(sql`status = 'active'`),
    check(
      "assistant_ingress_invites_status_check",
      sql`${table.status} IN ('active', 'redeemed', 'revoked', 'expired')`,
    ),
    check(
      "assistant_ingress_invites_uses_check",
      sql`0 <= ${table.useCount} AND ${table.useCount} <= ${table.maxUses} AND ${table.maxUses} >= 1`,
    ),
  ],
);
