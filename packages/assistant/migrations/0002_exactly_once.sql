-- What DbProxy needs to apply a request once: its receipts are written and read, never changed.
GRANT USAGE ON SCHEMA tandem TO assistant_dbproxy;--> statement-breakpoint
GRANT SELECT, INSERT ON tandem.receipts TO assistant_dbproxy;--> statement-breakpoint
GRANT EXECUTE ON FUNCTION tandem.keep_receipts(interval) TO assistant_app;--> statement-breakpoint
-- A serialization_key is a row here, by its hash: writes with the same key lock the same one. A few keys share a
-- row, which makes them wait for each other and nothing worse. Half of each page is left for new versions of
-- the rows.
CREATE TABLE tandem.write_keys (
	slot integer PRIMARY KEY,
	uses bigint DEFAULT 0 NOT NULL
) WITH (fillfactor = 50);--> statement-breakpoint
INSERT INTO tandem.write_keys (slot) SELECT generate_series(0, 16383);--> statement-breakpoint
GRANT SELECT, UPDATE ON tandem.write_keys TO assistant_dbproxy;
