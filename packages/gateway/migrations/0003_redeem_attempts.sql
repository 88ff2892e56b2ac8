CREATE TABLE "redeem_attempts" (
	"channel" text NOT NULL,
	"redeemer" text NOT NULL,
	"since" timestamp(6) with time zone DEFAULT now() NOT NULL,
	"attempts" integer DEFAULT 1 NOT NULL,
	"wrong" integer DEFAULT 0 NOT NULL,
	"locked_until" timestamp(6) with time zone,
	CONSTRAINT "redeem_attempts_channel_redeemer_pk" PRIMARY KEY("channel","redeemer")
);
--> statement-breakpoint
CREATE TABLE "wrong_secrets" (
	"channel" text NOT NULL,
	"minute" timestamp(6) with time zone NOT NULL,
	"count" integer DEFAULT 1 NOT NULL,
	CONSTRAINT "wrong_secrets_channel_minute_pk" PRIMARY KEY("channel","minute")
);
--> statement-breakpoint
CREATE INDEX "redeem_attempts_since_idx" ON "redeem_attempts" USING btree ("since");