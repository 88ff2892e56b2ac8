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
-- Makes room for the receipts of the next day, and drops a whole partition of those that are older than the
-- retention. What was dropped is never made again: an id without a partition can't be committed. It runs as the
-- tables' owner, so that whoever calls it needs no right to define anything. Gives how many partitions are still
-- to be dropped: one a call, since to drop one takes the whole table for as long as the transaction lasts.
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
	next timestamptz := date_bin(width, present - retention, 'epoch');
	name text;
	due regclass[];
BEGIN
	-- One at a time; nobody who writes receipts waits for this lock.
	LOCK TABLE tandem.receipts IN SHARE UPDATE EXCLUSIVE MODE;
	SELECT greatest(next, max(part.until)),
		coalesce(array_agg(part.id ORDER BY part.until) FILTER (WHERE part.until <= present - retention - slack), '{}')
	INTO next, due
	FROM (
		SELECT c.oid::regclass AS id, to_timestamp(substr(c.relname, 10), 'YYYYMMDDHH24') + width AS until
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = 'tandem.receipts'::regclass
	) AS part;
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
	IF cardinality(due) = 0 THEN
		RETURN 0;
	END IF;
	BEGIN
		-- Those who write wait no longer than this for it.
		SET LOCAL lock_timeout = '200ms';
		EXECUTE format('DROP TABLE %s', due[1]);
		RETURN cardinality(due) - 1;
	EXCEPTION WHEN lock_not_available THEN
		RETURN cardinality(due);
	END;
END
$$;
