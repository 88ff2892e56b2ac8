-- Contacts and invites are decided about here or in the gateway's database, and mirrored in the other one.
INSERT INTO tandem.authority (side, authority) VALUES ('assistant', 'assistant');--> statement-breakpoint
SELECT tandem.mirror_table('contact', 'contacts', 'contact_channels');--> statement-breakpoint
SELECT tandem.mirror_table('invite', 'assistant_ingress_invites');--> statement-breakpoint
GRANT UPDATE, DELETE ON tandem.outbox TO assistant_app;--> statement-breakpoint
GRANT DELETE ON tandem.tombstones TO assistant_app;--> statement-breakpoint
GRANT EXECUTE ON FUNCTION tandem.backlog TO assistant_app;--> statement-breakpoint
-- The gateway works on these through DbProxy while this database decides, brings what it has decided itself, compares
-- the two and moves the authority: by the statements that are registered for it, and by no others.
GRANT SELECT, INSERT, UPDATE, DELETE ON assistant_ingress_invites TO assistant_dbproxy;--> statement-breakpoint
GRANT EXECUTE ON FUNCTION
	tandem.read_authority, tandem.backlog, tandem.begin_move, tandem.end_move, tandem.call_off_move,
	tandem.recover_contact, tandem.recover_invite TO assistant_dbproxy;--> statement-breakpoint
SET LOCAL ROLE assistant_mirror;--> statement-breakpoint
GRANT USAGE ON SCHEMA mirror TO assistant_dbproxy;--> statement-breakpoint
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA mirror TO assistant_dbproxy;--> statement-breakpoint
RESET ROLE;
