-- What a peer may reach through DbProxy at all, whatever its statements say: rows, never definitions.
GRANT USAGE ON SCHEMA public TO assistant_dbproxy;--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON contacts, contact_channels TO assistant_dbproxy;
