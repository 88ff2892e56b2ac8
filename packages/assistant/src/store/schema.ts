import { sql } from "drizzle-orm";
import { bigint, boolean, check, index, pgTable, text, timestamp, unique, uuid } from "drizzle-orm/pg-core";

// Text in PostgreSQL's own form: a Date has no microseconds, and the value would come back as another one.
const instant = (name: string) => timestamp(name, { withTimezone: true, precision: 6, mode: "string" });

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
