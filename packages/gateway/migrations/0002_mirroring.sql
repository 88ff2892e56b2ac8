-- The contract can't tell an empty text from none, and the two databases are to have the same.
UPDATE contact_channels SET external_user_id = nullif(external_user_id, ''), external_chat_id = nullif(external_chat_id, ''),
	verified_via = nullif(verified_via, ''), revoked_reason = nullif(revoked_reason, ''), blocked_reason = nullif(blocked_reason, '')
WHERE '' IN (external_user_id, external_chat_id, verified_via, revoked_reason, blocked_reason);--> statement-breakpoint
ALTER TABLE contact_channels ADD CONSTRAINT contact_channels_no_empty_text_check CHECK (
	external_user_id <> '' AND external_chat_id <> '' AND verified_via <> '' AND revoked_reason <> '' AND blocked_reason <> ''
);--> statement-breakpoint
ALTER TABLE ingress_invites ADD CONSTRAINT ingress_invites_no_empty_value_check CHECK (
	expected_external_user_id <> '' AND source_conversation_id <> '' AND friend_name <> '' AND guardian_name <> ''
	AND note <> '' AND redeemed_by_external_user_id <> '' AND redeemed_by_external_chat_id <> ''
	AND token_hash <> '' AND invite_code_hash <> '' AND voice_code_hash <> '' AND voice_code_digits <> 0
);--> statement-breakpoint
-- Contacts and invites are decided about here or in the assistant's database, and mirrored in the other one.
INSERT INTO tandem.authority (side, authority) VALUES ('gateway', 'assistant');--> statement-breakpoint
SELECT tandem.mirror_table('contact', 'contacts', 'contact_channels');--> statement-breakpoint
SELECT tandem.mirror_table('invite', 'ingress_invites');--> statement-breakpoint
GRANT UPDATE, DELETE ON tandem.outbox TO gateway_app;--> statement-breakpoint
GRANT DELETE ON tandem.tombstones TO gateway_app;--> statement-breakpoint
GRANT EXECUTE ON FUNCTION
	tandem.read_authority, tandem.backlog, tandem.begin_move, tandem.end_move, tandem.call_off_move,
	tandem.pending, tandem.parked, tandem.release_parked, tandem.recover_contact, tandem.recover_invite TO gateway_app;--> statement-breakpoint
-- What the gateway writes for its callers is applied once, too.
GRANT INSERT ON tandem.receipts TO gateway_app;--> statement-breakpoint
GRANT EXECUTE ON FUNCTION tandem.keep_receipts(interval) TO gateway_app;
