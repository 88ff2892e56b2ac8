-- What became of each request_id. The id is a UUIDv7, so a range of ids is a range of time, and a partition
-- holds the receipts of four hours.
CREATE TABLE tandem.receipts (
	request_id uuid NOT NULL,
	caller text NOT NULL,
	state text NOT NULL,
	-- Of the request that was committed; a refusal holds whatever the steps are.
	fingerprint bytea,
	response bytea,
	settled_at timestamp(6) with time zone DEFAULT clock_timestamp() NOT NULL,
	source_instance_id text,
	requested_at timestamp(6) with time zone,
	CONSTRAINT receipts_pkey PRIMARY KEY (request_id, caller),
	CONSTRAINT receipts_state_check CHECK (
		CASE state
			WHEN 'committed' THEN fingerprint IS NOT NULL AND response IS NOT NULL
			WHEN 'refused' THEN response IS NULL
			ELSE false
		END
	)
) PARTITION BY RANGE (request_id);
--> statement-breakpoint
-- The smallest id that can have been made at a time.
CREATE FUNCTION tandem.first_request_id(at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN rpad(lpad(to_hex(floor(extract(epoch FROM at) * 1000)::int8), 12, '0'), 32, '0')::uuid;
--> statement-breakpoint
-- Makes room for the receipts of the next day and drops, whole partitions at a time, those that are older than
-- the retention. What was dropped is never made again: an id without a partition can't be committed. It runs as
-- the tables' owner, so that whoever calls it needs no right to define anything. Gives how many partitions
-- were due but in use: they go the next time.
CREATE FUNCTION tandem.keep_receipts(retention interval) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET "TimeZone" = 'UTC'
SET lock_timeout = '5s'
AS $$
DECLARE
	width CONSTANT interval := '4 hours';
	ahead CONSTANT interval := '24 hours';
	-- Clocks of services differ a little from this one.
	slack CONSTANT interval := '1 hour';
	present CONSTANT timestamptz := clock_timestamp();
	part record;
	next timestamptz := date_bin(width, present - retention, 'epoch');
	name text;
	left_over integer := 0;
BEGIN
	-- One at a time; nobody who writes receipts waits for this lock.
	LOCK TABLE tandem.receipts IN SHARE UPDATE EXCLUSIVE MODE;
	FOR part IN
		SELECT c.oid::regclass AS id, to_timestamp(substr(c.relname, 10), 'YYYYMMDDHH24') + width AS until
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = 'tandem.receipts'::regclass
	LOOP
		next := greatest(next, part.until);
		CONTINUE WHEN part.until > present - retention - slack;
		BEGIN
			-- To drop one takes the whole table for a moment: those who write wait no longer than this for it.
			SET LOCAL lock_timeout = '200ms';
			EXECUTE format('DROP TABLE %s', part.id);
		EXCEPTION WHEN lock_not_available THEN
			left_over := left_over + 1;
		END;
	END LOOP;
	WHILE next < present + ahead LOOP
		name := 'receipts_' || to_char(next, 'YYYYMMDDHH24');
		-- To attach a table that stands already keeps nobody from writing, as to make it in its place would.
		EXECUTE format('CREATE TABLE tandem.%I (LIKE tandem.receipts INCLUDING ALL)', name);
		EXECUTE format(
			'ALTER TABLE tandem.receipts ATTACH PARTITION tandem.%I FOR VALUES FROM (%L) TO (%L)',
			name, tandem.first_request_id(next), tandem.first_request_id(next + width)
		);
		next := next + width;
	END LOOP;
	RETURN left_over;
END
$$;
