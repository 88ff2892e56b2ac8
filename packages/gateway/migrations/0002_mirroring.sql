-- Contacts and invites are decided about here or in the assistant's database, and mirrored in the other one.
INSERT INTO tandem.authority (side, authority) VALUES ('gateway', 'assistant');--> statement-breakpoint
SELECT tandem.mirror_table('contact', 'contacts', 'contact_channels');--> statement-breakpoint
SELECT tandem.mirror_table('invite', 'ingress_invites');--> statement-breakpoint
GRANT UPDATE, DELETE ON tandem.outbox TO gateway_app;--> statement-breakpoint
GRANT DELETE ON tandem.tombstones TO gateway_app;--> statement-breakpoint
GRANT EXECUTE ON FUNCTION
	tandem.read_authority, tandem.backlog, tandem.begin_move, tandem.end_move, tandem.call_off_move,
	tandem.recover_contact, tandem.recover_invite TO gateway_app;--> statement-breakpoint
-- What the gateway writes for its callers is applied once, too.
GRANT INSERT ON tandem.receipts TO gateway_app;--> statement-breakpoint
GRANT EXECUTE ON FUNCTION tandem.keep_receipts(interval) TO gateway_app;
