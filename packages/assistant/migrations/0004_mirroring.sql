-- The contract can't tell an empty text from none, and the two databases are to have the same.
UPDATE contact_channels SET external_user_id = nullif(external_user_id, ''), external_chat_id = nullif(external_chat_id, ''),
	verified_via = nullif(verified_via, ''), revoked_reason = nullif(revoked_reason, ''), blocked_reason = nullif(blocked_reason, '')
WHERE '' IN (external_user_id, external_chat_id, verified_via, revoked_reason, blocked_reason);--> statement-breakpoint
ALTER TABLE contact_channels ADD CONSTRAINT contact_channels_no_empty_text_check CHECK (
	external_user_id <> '' AND external_chat_id <> '' AND verified_via <> '' AND revoked_reason <> '' AND blocked_reason <> ''
);--> statement-breakpoint
ALTER TABLE assistant_ingress_invites ADD CONSTRAINT assistant_ingress_invites_no_empty_value_check CHECK (
	expected_external_user_id <> '' AND source_conversation_id <> '' AND friend_name <> '' AND guardian_name <> ''
	AND note <> '' AND redeemed_by_external_user_id <> '' AND redeemed_by_external_chat_id <> ''
	AND token_hash <> '' AND invite_code_hash <> '' AND voice_code_hash <> '' AND voice_code_digits <> 0
);--> statement-breakpoint
-- Contacts and invites are decided about here or in the gateway's database, and mirrored in the other one.
INSERT INTO tandem.authority (side, authority) VALUES ('assistant', 'assistant');--> statement-breakpoint
SELECT tandem.mirror_table('contact', 'contacts', 'contact_channels');--> statement-breakpoint
SELECT tandem.mirror_table('invite', 'assistant_ingress_invites');--> statement-breakpoint
-- In the gateway's database a foreign key does this, whoever deletes a contact. Here invites can come before their contacts
-- while the gateway decides; and then it is the gateway that says which of them are gone.
CREATE FUNCTION tandem.remove_invites_of_contact() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM public.assistant_ingress_invites WHERE contact_id = OLD.id;
	RETURN NULL;
END
$$;--> statement-breakpoint
CREATE TRIGGER contacts_remove_invites AFTER DELETE ON contacts
	FOR EACH ROW WHEN (current_user <> 'assistant_mirror') EXECUTE FUNCTION tandem.remove_invites_of_contact();--> statement-breakpoint
GRANT UPDATE, DELETE ON tandem.outbox TO assistant_app;--> statement-breakpoint
GRANT DELETE ON tandem.tombstones TO assistant_app;--> statement-breakpoint
GRANT EXECUTE ON FUNCTION tandem.backlog TO assistant_app;--> statement-breakpoint
-- Invites that the assistant creates are applied once, too.
GRANT INSERT ON tandem.receipts TO assistant_app;--> statement-breakpoint
-- The gateway works on these through DbProxy while this database decides, brings what it has decided itself, compares
-- the two and moves the authority: by the statements that are registered for it, and by no others.
GRANT SELECT, INSERT, UPDATE, DELETE ON assistant_ingress_invites TO assistant_dbproxy;--> statement-breakpoint
GRANT EXECUTE ON FUNCTION
	tandem.read_authority, tandem.backlog, tandem.begin_move, tandem.end_move, tandem.call_off_move,
	tandem.pending, tandem.parked, tandem.release_parked, tandem.recover_contact, tandem.recover_invite TO assistant_dbproxy;--> statement-breakpoint
SET LOCAL ROLE assistant_mirror;--> statement-breakpoint
GRANT USAGE ON SCHEMA mirror TO assistant_dbproxy;--> statement-breakpoint
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA mirror TO assistant_dbproxy;--> statement-breakpoint
RESET ROLE;
