CREATE TABLE "assistant_ingress_invites" (
	"id" uuid PRIMARY KEY NOT NULL,
	"contact_id" uuid NOT NULL,
	"source_channel" text NOT NULL,
	"key_id" text NOT NULL,
	"token_hash" "bytea",
	"invite_code_hash" "bytea",
	"voice_code_hash" "bytea",
	"voice_code_digits" integer,
	"expected_external_user_id" text,
	"source_conversation_id" text,
	"friend_name" text,
	"guardian_name" text,
	"note" text,
	"max_uses" integer DEFAULT 1 NOT NULL,
	"use_count" integer DEFAULT 0 NOT NULL,
	"expires_at" timestamp(6) with time zone NOT NULL,
	"status" text DEFAULT 'active' NOT NULL,
	"redeemed_by_external_user_id" text,
	"redeemed_by_external_chat_id" text,
	"redeemed_at" timestamp(6) with time zone,
	"version" bigint DEFAULT 1 NOT NULL,
	"created_at" timestamp(6) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp(6) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "assistant_ingress_invites_status_check" CHECK ("assistant_ingress_invites"."status" IN ('active', 'redeemed', 'revoked', 'expired')),
	CONSTRAINT "assistant_ingress_invites_uses_check" CHECK (0 <= "assistant_ingress_invites"."use_count" AND "assistant_ingress_invites"."use_count" <= "assistant_ingress_invites"."max_uses" AND "assistant_ingress_invites"."max_uses" >= 1)
);
--> statement-breakpoint
CREATE UNIQUE INDEX "assistant_ingress_invites_token_hash_key" ON "assistant_ingress_invites" USING btree ("token_hash") WHERE status = 'active';--> statement-breakpoint
CREATE UNIQUE INDEX "assistant_ingress_invites_invite_code_hash_key" ON "assistant_ingress_invites" USING btree ("invite_code_hash","source_channel") WHERE status = 'active';--> statement-breakpoint
CREATE UNIQUE INDEX "assistant_ingress_invites_voice_code_hash_key" ON "assistant_ingress_invites" USING btree ("voice_code_hash","source_channel") WHERE status = 'active';--> statement-breakpoint
CREATE INDEX "assistant_ingress_invites_token_hash_idx" ON "assistant_ingress_invites" USING btree ("token_hash");--> statement-breakpoint
CREATE INDEX "assistant_ingress_invites_invite_code_hash_idx" ON "assistant_ingress_invites" USING btree ("invite_code_hash");--> statement-breakpoint
CREATE INDEX "assistant_ingress_invites_voice_code_hash_idx" ON "assistant_ingress_invites" USING btree ("voice_code_hash");--> statement-breakpoint
CREATE INDEX "assistant_ingress_invites_contact_id_idx" ON "assistant_ingress_invites" USING btree ("contact_id");--> statement-breakpoint
CREATE INDEX "assistant_ingress_invites_created_at_idx" ON "assistant_ingress_invites" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "assistant_ingress_invites_expires_at_idx" ON "assistant_ingress_invites" USING btree ("expires_at") WHERE status = 'active';