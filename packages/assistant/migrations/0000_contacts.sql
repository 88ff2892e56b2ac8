CREATE TABLE "contact_channels" (
	"id" uuid PRIMARY KEY NOT NULL,
	"contact_id" uuid NOT NULL,
	"type" text NOT NULL,
	"address" text NOT NULL,
	"external_user_id" text,
	"external_chat_id" text,
	"is_primary" boolean DEFAULT false NOT NULL,
	"status" text DEFAULT 'unverified' NOT NULL,
	"policy" text DEFAULT 'allow' NOT NULL,
	"verified_at" timestamp(6) with time zone,
	"verified_via" text,
	"revoked_reason" text,
	"blocked_reason" text,
	"last_seen_at" timestamp(6) with time zone,
	"interaction_count" bigint DEFAULT 0 NOT NULL,
	"version" bigint DEFAULT 1 NOT NULL,
	"created_at" timestamp(6) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp(6) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "contact_channels_type_address_key" UNIQUE("type","address"),
	CONSTRAINT "contact_channels_status_check" CHECK ("contact_channels"."status" IN ('unverified', 'pending', 'active', 'revoked', 'blocked')),
	CONSTRAINT "contact_channels_policy_check" CHECK ("contact_channels"."policy" IN ('allow', 'deny')),
	CONSTRAINT "contact_channels_interaction_count_check" CHECK ("contact_channels"."interaction_count" >= 0)
);
--> statement-breakpoint
CREATE TABLE "contacts" (
	"id" uuid PRIMARY KEY NOT NULL,
	"display_name" text NOT NULL,
	"role" text DEFAULT 'contact' NOT NULL,
	"version" bigint DEFAULT 1 NOT NULL,
	"created_at" timestamp(6) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp(6) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "contact_channels" ADD CONSTRAINT "contact_channels_contact_id_contacts_id_fk" FOREIGN KEY ("contact_id") REFERENCES "public"."contacts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "contact_channels_contact_id_idx" ON "contact_channels" USING btree ("contact_id");--> statement-breakpoint
CREATE INDEX "contact_channels_type_external_user_id_idx" ON "contact_channels" USING btree ("type","external_user_id");--> statement-breakpoint
CREATE INDEX "contact_channels_type_external_chat_id_idx" ON "contact_channels" USING btree ("type","external_chat_id");