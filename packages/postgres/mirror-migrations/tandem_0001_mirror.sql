-- Rows that two databases hold, and one of them decides. The other one is its mirror: what is written on the side that
-- decides is marked in its outbox, in the same transaction, and a relay brings it to the other one.

-- Which side this database is, and which one decides.
CREATE TABLE tandem.authority (
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	side text NOT NULL,
	authority text NOT NULL,
	-- While it is draining nobody's writes are taken, so that the outbox empties.
	phase text NOT NULL DEFAULT 'settled' CHECK (phase IN ('settled', 'draining')),
	-- Grows by one whenever the authority moves.
	epoch bigint NOT NULL DEFAULT 1,
	since timestamp(6) with time zone NOT NULL DEFAULT clock_timestamp(),
	-- By which move it is draining: what another one was about can't end it.
	move uuid,
	-- The latest moves of this epoch that were called off: none of them begins again by a step that comes late.
	called_off uuid[] NOT NULL DEFAULT '{}',
	CHECK ((phase = 'draining') = (move IS NOT NULL))
);
--> statement-breakpoint
-- What the mirror doesn't have yet: not each change, but each aggregate that has changed, with its newest version.
CREATE TABLE tandem.outbox (
	aggregate text NOT NULL,
	id uuid NOT NULL,
	version bigint NOT NULL,
	-- Since when the mirror has been behind.
	dirty_at timestamp(6) with time zone NOT NULL DEFAULT clock_timestamp(),
	-- When it may be taken: whoever takes it moves this on, and is its only one until then.
	due_at timestamp(6) with time zone NOT NULL DEFAULT clock_timestamp(),
	attempts integer NOT NULL DEFAULT 0,
	-- Why the other side refuses it; set where it won't change its mind by being asked soon.
	refusal text,
	-- Without which the other side refuses it: where that is brought there, this is tried again at once.
	awaits uuid,
	PRIMARY KEY (aggregate, id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
--> statement-breakpoint
CREATE INDEX outbox_due_idx ON tandem.outbox (aggregate, due_at);
--> statement-breakpoint
CREATE INDEX outbox_awaits_idx ON tandem.outbox (awaits) WHERE awaits IS NOT NULL;
--> statement-breakpoint
-- What the mirror lacks: how much is on its way, how much is refused there, and since when the oldest has been on its way.
CREATE FUNCTION tandem.backlog(OUT pending bigint, OUT parked bigint, OUT oldest_seconds double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT count(*) FILTER (WHERE refusal IS NULL), count(*) FILTER (WHERE refusal IS NOT NULL),
		coalesce(extract(epoch FROM clock_timestamp() - min(dirty_at) FILTER (WHERE refusal IS NULL)), 0)
	FROM tandem.outbox;
END;
--> statement-breakpoint
-- Which of these the mirror is behind with, and is being brought.
CREATE FUNCTION tandem.pending(of_aggregate text, ids uuid[]) RETURNS TABLE (id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT o.id FROM tandem.outbox o WHERE o.aggregate = of_aggregate AND o.id = ANY (ids) AND o.refusal IS NULL;
END;
--> statement-breakpoint
-- What is parked of an aggregate, in the order of the ids, behind one of them.
CREATE FUNCTION tandem.parked(of_aggregate text, after uuid, max_rows integer) RETURNS TABLE (id uuid, version bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT o.id, o.version FROM tandem.outbox o
	WHERE o.aggregate = of_aggregate AND o.refusal IS NOT NULL AND (after IS NULL OR o.id > after)
	ORDER BY o.id LIMIT max_rows;
END;
--> statement-breakpoint
-- The mirror has come to these versions otherwise: they are parked no more, and what awaits one of them is tried again.
CREATE FUNCTION tandem.release_parked(of_aggregate text, ids uuid[], versions bigint[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	UPDATE tandem.outbox SET refusal = NULL, awaits = NULL, attempts = 0, due_at = clock_timestamp() WHERE awaits = ANY (ids);
	DELETE FROM tandem.outbox o USING unnest(ids, versions) AS there (id, version)
	WHERE o.aggregate = of_aggregate AND o.id = there.id AND o.version <= there.version AND o.refusal IS NOT NULL;
END;
--> statement-breakpoint
-- What was deleted, so that nothing that comes late brings it back. It counts in the mirror for 30 days. The side that
-- decides remembers it for longer, from when the mirror has heard of it: what is made again gets a version above it until
-- the mirror takes any.
CREATE TABLE tandem.tombstones (
	aggregate text NOT NULL,
	id uuid NOT NULL,
	version bigint NOT NULL,
	deleted_at timestamp(6) with time zone NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (aggregate, id)
);
--> statement-breakpoint
CREATE INDEX tombstones_deleted_at_idx ON tandem.tombstones (deleted_at);
--> statement-breakpoint
CREATE FUNCTION tandem.after_delivery() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- One that is locked is changing: it is marked anew. It is planned anew each time, for as many as there are.
	EXECUTE 'UPDATE tandem.tombstones t SET deleted_at = clock_timestamp() FROM (
			SELECT aggregate, id FROM tandem.tombstones JOIN brought USING (aggregate, id) FOR UPDATE OF tombstones SKIP LOCKED
		) AS heard
		WHERE t.aggregate = heard.aggregate AND t.id = heard.id';
	RETURN NULL;
END
$$;
--> statement-breakpoint
CREATE TRIGGER after_delivery AFTER DELETE ON tandem.outbox
REFERENCING OLD TABLE AS brought FOR EACH STATEMENT EXECUTE FUNCTION tandem.after_delivery();
--> statement-breakpoint
-- TD001 is what NOT_AUTHORITATIVE is made of.
CREATE FUNCTION tandem.refuse_write(message text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = 'TD001', MESSAGE = message;
END
$$;
--> statement-breakpoint
-- Fails unless this database decides at the moment. Where the authority moves, the tables are locked until it has: what
-- was written before is brought to the other side, and what comes after sees that it has moved. A transaction with a
-- snapshot of its own would not see it, and so has to look at the row as it is.
CREATE FUNCTION tandem.assert_authority() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	seen tandem.authority;
BEGIN
	IF current_setting('transaction_isolation') = 'read committed' THEN
		SELECT * INTO seen FROM tandem.authority;
	ELSE
		SELECT * INTO seen FROM tandem.authority FOR SHARE;
	END IF;
	IF seen.authority = seen.side AND seen.phase = 'settled' THEN
		RETURN;
	ELSIF seen.phase = 'draining' THEN
		PERFORM tandem.refuse_write('The authority over these rows is moving: try again soon.');
	ELSE
		PERFORM tandem.refuse_write(format('The %s decides about these rows, and this is the %s.', seen.authority, seen.side));
	END IF;
END
$$;
--> statement-breakpoint
CREATE FUNCTION tandem.mark_dirty(of_aggregate text, of_id uuid, to_version bigint) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	INSERT INTO tandem.outbox (aggregate, id, version) VALUES (of_aggregate, of_id, to_version)
	ON CONFLICT (aggregate, id) DO UPDATE
		SET version = EXCLUDED.version, due_at = EXCLUDED.due_at, attempts = 0, refusal = NULL, awaits = NULL;
END;
--> statement-breakpoint
-- Which version a row has is decided here, not by who writes it: a very high one could never be raised again. The tables'
-- owner alone gives one, in what recovers a row.
CREATE FUNCTION tandem.ignore_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	NEW.version := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE OLD.version END;
	RETURN NEW;
END
$$;
--> statement-breakpoint
-- What no writer may forget, whoever writes. The argument is the aggregate; "" for the rows of a child.
CREATE FUNCTION tandem.before_write() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	buried bigint;
BEGIN
	PERFORM tandem.assert_authority();
	IF TG_OP = 'DELETE' THEN
		RETURN OLD;
	ELSIF TG_OP = 'INSERT' THEN
		SELECT version INTO buried FROM tandem.tombstones WHERE aggregate = TG_ARGV[0] AND id = NEW.id;
		NEW.version := greatest(NEW.version, buried + 1, 1);
	ELSE
		IF NEW.id <> OLD.id THEN
			RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = 'The id of a mirrored row stays what it is.';
		END IF;
		NEW.version := greatest(NEW.version, OLD.version) + 1;
	END IF;
	NEW.updated_at := clock_timestamp();
	RETURN NEW;
END
$$;
--> statement-breakpoint
CREATE FUNCTION tandem.after_write() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	buried bigint;
BEGIN
	IF TG_OP = 'DELETE' THEN
		INSERT INTO tandem.tombstones (aggregate, id, version) VALUES (TG_ARGV[0], OLD.id, OLD.version + 1)
		ON CONFLICT (aggregate, id) DO UPDATE SET version = EXCLUDED.version, deleted_at = EXCLUDED.deleted_at;
		PERFORM tandem.mark_dirty(TG_ARGV[0], OLD.id, OLD.version + 1);
		RETURN NULL;
	END IF;
	IF TG_OP = 'INSERT' THEN
		DELETE FROM tandem.tombstones WHERE aggregate = TG_ARGV[0] AND id = NEW.id RETURNING version INTO buried;
		-- It was deleted while this waited for it to be gone.
		IF buried >= NEW.version THEN
			EXECUTE format('UPDATE %I.%I SET version = $1 WHERE id = $2', TG_TABLE_SCHEMA, TG_TABLE_NAME)
				USING buried, NEW.id;
			RETURN NULL;
		END IF;
	END IF;
	PERFORM tandem.mark_dirty(TG_ARGV[0], NEW.id, NEW.version);
	RETURN NULL;
END
$$;
--> statement-breakpoint
-- A change of a child is one of its parent, once in a transaction. The arguments are the parent's aggregate, its table and
-- the column that leads to it.
CREATE FUNCTION tandem.after_child_write() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	parents uuid[] := ARRAY[(to_jsonb(OLD) ->> TG_ARGV[2])::uuid, (to_jsonb(NEW) ->> TG_ARGV[2])::uuid];
BEGIN
	SELECT array_agg(DISTINCT parent) INTO parents FROM unnest(parents) AS parent
	WHERE parent IS NOT NULL AND NOT EXISTS (
		SELECT FROM tandem.outbox
		WHERE aggregate = TG_ARGV[0] AND id = parent AND xmin = pg_current_xact_id()::xid
	);
	EXECUTE format(
		'UPDATE %1$s SET version = version WHERE id IN (SELECT id FROM %1$s WHERE id = ANY ($1) ORDER BY id FOR UPDATE)',
		TG_ARGV[1]
	) USING parents;
	RETURN NULL;
END
$$;
--> statement-breakpoint
-- What the mirror's own role writes is what the other side has decided; here it is taken as it is.
CREATE FUNCTION tandem.before_mirrored_write() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM FROM tandem.authority WHERE authority <> side;
	IF NOT FOUND THEN
		PERFORM tandem.refuse_write('This database decides about these rows: it mirrors nobody.');
	END IF;
	RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$$;
--> statement-breakpoint
CREATE FUNCTION tandem.refuse_truncate() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
		MESSAGE = format('The rows of %I are mirrored, and TRUNCATE says of none of them that it is gone: use DELETE.', TG_TABLE_NAME);
END
$$;
--> statement-breakpoint
-- The column of a table by which a row belongs to one of another table, and is deleted with it.
CREATE FUNCTION tandem.belonging_column(child regclass, parent regclass) RETURNS name
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT a.attname FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
	WHERE c.contype = 'f' AND c.confdeltype = 'c' AND c.conrelid = child AND c.confrelid = parent;
END;
--> statement-breakpoint
-- "a, b, c", of the columns of a table; `template` says how each is written.
CREATE FUNCTION tandem.columns_of(of_table regclass, template text DEFAULT '%1$I') RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT string_agg(format(template, attname), ', ' ORDER BY attnum) FROM pg_attribute
	WHERE attrelid = of_table AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
END;
--> statement-breakpoint
-- An expression for the columns of a table that have a default, as JSON.
CREATE FUNCTION tandem.defaults_of(of_table regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT concat_ws(' || ', $json$'{}'::jsonb$json$, string_agg(
		format('jsonb_build_object(%L, %s)', attname, pg_get_expr(adbin, adrelid)), ' || '
	)) FROM pg_attribute a JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	WHERE attrelid = of_table AND attgenerated = '';
END;
--> statement-breakpoint
-- Which of so many parts of all ids this one is in: by its last bytes, which are random in every UUID that is made.
-- It sets nothing, so that it becomes part of the query: every row is asked for it.
CREATE FUNCTION tandem.bucket_of(id uuid, buckets integer) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (get_byte(uuid_send(id), 14) * 256 + get_byte(uuid_send(id), 15)) % buckets;
--> statement-breakpoint
DO $$
DECLARE
	mirror_role CONSTANT regrole := (SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'mirror');
BEGIN
	IF mirror_role IS NULL THEN
		RAISE EXCEPTION 'This database has no schema "mirror": prepare the server again (tandem databases).';
	END IF;
	EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON tandem.tombstones TO %s', mirror_role);
	EXECUTE format('GRANT EXECUTE ON FUNCTION tandem.bucket_of(uuid, integer) TO %s', mirror_role);
END
$$;
--> statement-breakpoint
CREATE FUNCTION tandem.is_watched(of_table regclass) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = of_table AND tgname = 'tandem_before_write');
END;
--> statement-breakpoint
-- The triggers of a mirrored table: what writers must not forget, and what the mirror's own role may.
CREATE FUNCTION tandem.watch_table(watched regclass, mirror_role regrole, aggregate text, after_write text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	owner CONSTANT name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = watched);
BEGIN
	EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %s', watched, mirror_role);
	-- Its name comes before that of the next one, and so does it.
	EXECUTE format(
		'CREATE OR REPLACE TRIGGER tandem_before_version BEFORE INSERT OR UPDATE OF version ON %s
		 FOR EACH ROW WHEN (current_user <> ALL (%L::name[])) EXECUTE FUNCTION tandem.ignore_version()',
		watched, ARRAY[mirror_role::text, owner]
	);
	EXECUTE format(
		'CREATE OR REPLACE TRIGGER tandem_before_write BEFORE INSERT OR UPDATE OR DELETE ON %s
		 FOR EACH ROW WHEN (current_user <> %L) EXECUTE FUNCTION tandem.before_write(%L)',
		watched, mirror_role::text, aggregate
	);
	EXECUTE format(
		'CREATE OR REPLACE TRIGGER tandem_after_write AFTER INSERT OR UPDATE OR DELETE ON %s
		 FOR EACH ROW WHEN (current_user <> %L) EXECUTE FUNCTION %s',
		watched, mirror_role::text, after_write
	);
	EXECUTE format(
		'CREATE OR REPLACE TRIGGER tandem_mirrored_write BEFORE INSERT OR UPDATE OR DELETE ON %s
		 FOR EACH ROW WHEN (current_user = %L) EXECUTE FUNCTION tandem.before_mirrored_write()',
		watched, mirror_role::text
	);
	EXECUTE format(
		'CREATE OR REPLACE TRIGGER tandem_truncate BEFORE TRUNCATE ON %s
		 FOR EACH STATEMENT EXECUTE FUNCTION tandem.refuse_truncate()',
		watched
	);
END
$$;
--> statement-breakpoint
-- Makes a table one that is mirrored: to be called by a migration, as the tables' owner, and again by each that adds a
-- column or a table that belongs to it. `root` has id uuid, version bigint and updated_at timestamptz; the tables of
-- `children` have these as well, and belong to it by a foreign key that cascades. A row and its children are one
-- aggregate, which is brought to the other side as a whole; rows that are there already are brought, too, where this side
-- decides. It gives
--   mirror.apply_AGGREGATE(id, version, state)  brings the mirror to a version, or to its end where the state is null
--   mirror.read_AGGREGATE(ids)                  what is to be brought there
--   mirror.digest_AGGREGATE(buckets, since, before, parts)  what the two sides are compared by, of some buckets or all
--   mirror.list_AGGREGATE(buckets, since, before, parts, after, max_rows)  the same, row by row
--   tandem.recover_AGGREGATE(id, version, state)  makes the side that decides what its mirror still has, where it has no
--                                                 later version
CREATE FUNCTION tandem.mirror_table(aggregate text, root regclass, VARIADIC children regclass[] DEFAULT '{}') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	mirror_role CONSTANT regrole := (SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'mirror');
	columns CONSTANT text := tandem.columns_of(root);
	changes CONSTANT text := tandem.columns_of(root, '%1$I = EXCLUDED.%1$I');
	column_names CONSTANT text := tandem.columns_of(root, '%1$L');
	defaults CONSTANT text := tandem.defaults_of(root);
	child regclass;
	-- By which the children stand in the state.
	key name;
	link name;
	rivals text;
	state_sql text := 'to_jsonb(r)';
	remove_sql text := '';
	write_sql text := '';
	raise_sql text := '';
	is_new CONSTANT boolean := NOT tandem.is_watched(root);
	mark_sql text := '';
	dependent record;
BEGIN
	IF NOT EXISTS (SELECT FROM tandem.authority) THEN
		RAISE EXCEPTION 'tandem.authority is empty: say first which side this database is, and which one decides.';
	END IF;
	IF aggregate !~ '^[a-z][a-z_]{0,39}$' THEN
		RAISE EXCEPTION 'The name of an aggregate is of a-z and _, not %.', aggregate;
	END IF;
	PERFORM tandem.watch_table(root, mirror_role, aggregate, format('tandem.after_write(%L)', aggregate));
	IF is_new THEN
		mark_sql := format(
			'INSERT INTO tandem.outbox (aggregate, id, version) SELECT %L, id, version FROM %s ON CONFLICT DO NOTHING;',
			aggregate, root
		);
	END IF;

	FOREACH child IN ARRAY children LOOP
		key := (SELECT relname FROM pg_class WHERE oid = child);
		link := tandem.belonging_column(child, root);
		IF NOT is_new AND NOT tandem.is_watched(child) THEN
			-- What it belongs to has been brought without it.
			mark_sql := mark_sql || format(
				'UPDATE %1$s SET version = version WHERE id IN (SELECT %2$I FROM %3$s);', root, link, child
			);
		END IF;
		PERFORM tandem.watch_table(
			child, mirror_role, '', format('tandem.after_child_write(%L, %L, %L)', aggregate, root, link)
		);
		state_sql := state_sql || format(
			' || jsonb_build_object(%L, (SELECT coalesce(jsonb_agg(to_jsonb(c) ORDER BY c.id), ''[]'') FROM %s c WHERE c.%I = r.id))',
			key, child, link
		);
		remove_sql := remove_sql || format('DELETE FROM %s WHERE %I = aggregate_id;', child, link);
		raise_sql := raise_sql || format(
			'state := state || jsonb_build_object(%1$L, (
				SELECT coalesce(jsonb_agg(c || jsonb_build_object(''version'', (c ->> ''version'')::bigint + 1)), ''[]'')
				FROM jsonb_array_elements(state -> %1$L) c
			));',
			key
		);
		-- What is unique beside the id can be another row's here: one that is gone on the other side, or one that took
		-- its place there. An earlier one gives way. Where the clocks of the two sides tell otherwise, or what is brought
		-- is out of date, the place is taken: that fails, and is tried again when the other row's own change has come.
		SELECT string_agg(format('(%s)', condition), ' OR ') INTO rivals FROM (
			SELECT string_agg(format('c.%1$I = n.%1$I', a.attname), ' AND ') AS condition
			FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
			WHERE k.conrelid = child AND k.contype = 'u' GROUP BY k.oid
		) AS keys;
		-- What the other side doesn't know of yet stays as it is, or gets its default.
		write_sql := write_sql || format(
			'IF EXISTS (SELECT FROM jsonb_array_elements(state -> %3$L) n WHERE NOT n ?& ARRAY[%2$s]) THEN
				state := state || jsonb_build_object(%3$L, (
					SELECT jsonb_agg(%4$s || coalesce(to_jsonb(c), ''{}'') || n)
					FROM jsonb_array_elements(state -> %3$L) n LEFT JOIN %1$s c ON c.id = (n ->> ''id'')::uuid
				));
			END IF;',
			child, tandem.columns_of(child, '%1$L'), key, tandem.defaults_of(child)
		);
		write_sql := write_sql || format(
			'DELETE FROM %1$s c WHERE c.%2$I = aggregate_id
				AND NOT EXISTS (SELECT FROM jsonb_array_elements(state -> %3$L) n WHERE (n ->> ''id'')::uuid = c.id);',
			child, link, key
		);
		IF rivals IS NOT NULL THEN
			write_sql := write_sql || format(
				'DELETE FROM %1$s c USING jsonb_populate_recordset(NULL::%1$s, state -> %3$L) n
					WHERE (%2$s) AND c.id <> n.id AND (c.%4$I = aggregate_id OR c.updated_at < n.updated_at);',
				child, rivals, key, link
			);
		END IF;
		write_sql := write_sql || format(
			'INSERT INTO %1$s AS old (%2$s) SELECT %2$s FROM jsonb_populate_recordset(NULL::%1$s, state -> %4$L) n
				ORDER BY n.id ON CONFLICT (id) DO UPDATE SET %3$s WHERE old.version < EXCLUDED.version;',
			child, tandem.columns_of(child), tandem.columns_of(child, '%1$I = EXCLUDED.%1$I'), key
		);
	END LOOP;

	-- Tables that are aggregates of their own and go with it as well: there, their own deletions say so to the mirror.
	FOR dependent IN
		SELECT c.conrelid::regclass AS name, tandem.belonging_column(c.conrelid, root) AS link FROM pg_constraint c
		WHERE c.contype = 'f' AND c.confdeltype = 'c' AND c.confrelid = root AND c.conrelid <> ALL (children)
	LOOP
		remove_sql := remove_sql || format('DELETE FROM %s WHERE %I = aggregate_id;', dependent.name, dependent.link);
	END LOOP;

	EXECUTE format('SET LOCAL ROLE %s', mirror_role);
	EXECUTE format(
		$f$
		CREATE OR REPLACE FUNCTION mirror.apply_%1$s(
			aggregate_id uuid, new_version bigint, state jsonb, OUT outcome text, OUT version bigint
		)
		LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET "TimeZone" = 'UTC'
		AS $body$
		#variable_conflict use_column
		DECLARE
			known bigint;
			held bigint;
		BEGIN
			PERFORM pg_advisory_xact_lock(hashtextextended(%1$L || aggregate_id, 0));
			known := (SELECT r.version FROM %2$s r WHERE r.id = aggregate_id);
			held := greatest(
				known,
				(
					SELECT t.version FROM tandem.tombstones t
					WHERE t.aggregate = %1$L AND t.id = aggregate_id AND t.deleted_at > clock_timestamp() - interval '30 days'
				)
			);
			IF held >= new_version THEN
				apply_%1$s.outcome := 'stale';
				apply_%1$s.version := held;
				RETURN;
			END IF;
			apply_%1$s.version := new_version;
			IF state IS NULL THEN
				%3$s
				DELETE FROM %2$s WHERE id = aggregate_id;
				INSERT INTO tandem.tombstones (aggregate, id, version) VALUES (%1$L, aggregate_id, new_version)
				ON CONFLICT (aggregate, id) DO UPDATE SET version = EXCLUDED.version, deleted_at = EXCLUDED.deleted_at;
				apply_%1$s.outcome := 'deleted';
				RETURN;
			END IF;
			state := state || jsonb_build_object('id', aggregate_id, 'version', new_version);
			IF NOT state ?& ARRAY[%7$s] THEN
				state := %8$s || coalesce((SELECT to_jsonb(r) FROM %2$s r WHERE r.id = aggregate_id), '{}') || state;
			END IF;
			INSERT INTO %2$s (%4$s) SELECT %4$s FROM jsonb_populate_record(NULL::%2$s, state)
			ON CONFLICT (id) DO UPDATE SET %5$s;
			DELETE FROM tandem.tombstones t WHERE t.aggregate = %1$L AND t.id = aggregate_id;
			%6$s
			apply_%1$s.outcome := CASE WHEN known IS NULL THEN 'created' ELSE 'updated' END;
		END
		$body$
		$f$,
		aggregate, root, remove_sql, columns, changes, write_sql,
		column_names, defaults
	);
	EXECUTE format(
		$f$
		CREATE OR REPLACE FUNCTION mirror.read_%1$s(ids uuid[])
		RETURNS TABLE (id uuid, version bigint, state jsonb, updated_at timestamptz)
		LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET "TimeZone" = 'UTC'
		AS $body$
			SELECT r.id, r.version, %3$s, r.updated_at FROM %2$s r WHERE r.id = ANY (ids)
			UNION ALL
			SELECT t.id, t.version, NULL, t.deleted_at FROM tandem.tombstones t WHERE t.aggregate = %1$L AND t.id = ANY (ids)
		$body$
		$f$,
		aggregate, root, state_sql
	);
	EXECUTE format(
		$f$
		CREATE OR REPLACE FUNCTION mirror.list_%1$s(
			buckets integer, since timestamptz, before timestamptz, parts integer[] DEFAULT NULL,
			after uuid DEFAULT NULL, max_rows integer DEFAULT NULL
		)
		RETURNS TABLE (bucket integer, id uuid, version bigint, deleted boolean, updated_at timestamptz, digest bytea)
		LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET "TimeZone" = 'UTC'
		AS $body$
			SELECT * FROM (
				SELECT tandem.bucket_of(r.id, buckets) AS bucket, r.id, r.version, false, r.updated_at,
					sha256(convert_to((%3$s)::text, 'UTF8'))
				FROM %2$s r
				WHERE r.updated_at >= since AND r.updated_at < before AND (parts IS NULL OR tandem.bucket_of(r.id, buckets) = ANY (parts))
				UNION ALL
				SELECT tandem.bucket_of(t.id, buckets), t.id, t.version, true, t.deleted_at,
					sha256(convert_to(t.id || ' ' || t.version, 'UTF8'))
				FROM tandem.tombstones t
				WHERE t.aggregate = %1$L AND t.deleted_at >= since AND t.deleted_at < before
					AND (parts IS NULL OR tandem.bucket_of(t.id, buckets) = ANY (parts))
			) AS listed
			WHERE after IS NULL OR id > after ORDER BY id LIMIT max_rows
		$body$
		$f$,
		aggregate, root, state_sql
	);
	EXECUTE format(
		$f$
		CREATE OR REPLACE FUNCTION mirror.digest_%1$s(
			buckets integer, since timestamptz, before timestamptz, parts integer[] DEFAULT NULL
		)
		RETURNS TABLE (bucket integer, held bigint, digest bytea)
		LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
		AS $body$
			SELECT bucket, count(*), sha256(string_agg(digest, '' ORDER BY id))
			FROM mirror.list_%1$s(buckets, since, before, parts) WHERE NOT deleted GROUP BY bucket
		$body$
		$f$,
		aggregate
	);
	EXECUTE 'RESET ROLE';
	-- A write like any other, by the owner: it gets a version above every one that was seen.
	EXECUTE format(
		$f$
		CREATE OR REPLACE FUNCTION tandem.recover_%1$s(aggregate_id uuid, seen_version bigint, state jsonb) RETURNS void
		LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET "TimeZone" = 'UTC'
		AS $body$
		#variable_conflict use_column
		DECLARE
			held bigint;
		BEGIN
			SELECT r.version INTO held FROM %2$s r WHERE r.id = aggregate_id FOR UPDATE;
			-- It has been written since it was looked at.
			IF held > seen_version THEN
				RETURN;
			END IF;
			IF state IS NULL THEN
				UPDATE %2$s r SET version = seen_version WHERE r.id = aggregate_id AND r.version < seen_version;
				%3$s
				DELETE FROM %2$s WHERE id = aggregate_id;
				RETURN;
			END IF;
			%7$s
			INSERT INTO %2$s (%4$s)
			SELECT %4$s FROM jsonb_populate_record(
				NULL::%2$s, state || jsonb_build_object('id', aggregate_id, 'version', seen_version + 1)
			)
			ON CONFLICT (id) DO UPDATE SET %5$s;
			%6$s
		END
		$body$
		$f$,
		aggregate, root, remove_sql, columns, changes, write_sql, raise_sql
	);
	IF EXISTS (SELECT FROM tandem.authority WHERE authority = side) THEN
		EXECUTE mark_sql;
	END IF;
END
$$;
--> statement-breakpoint
CREATE FUNCTION tandem.read_authority() RETURNS SETOF tandem.authority
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT * FROM tandem.authority;
END;
--> statement-breakpoint
-- Waits for every write to a mirrored table that is under way, and keeps the next ones waiting until this transaction
-- ends: no write need lock anything for it. One that takes longer is not waited for: others wait behind it.
CREATE FUNCTION tandem.stop_writes(wait_ms integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = 0
AS $$
DECLARE
	tables text;
BEGIN
	PERFORM set_config('lock_timeout', wait_ms::text, true);
	SELECT string_agg(tgrelid::regclass::text, ', ' ORDER BY tgrelid) INTO tables
	FROM pg_trigger WHERE tgname = 'tandem_before_write';
	EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', tables);
END
$$;
--> statement-breakpoint
-- The steps of moving the authority. Each gives the row as it is afterwards, and can be repeated; one that doesn't fit
-- changes nothing. They are granted to whoever moves it.
CREATE FUNCTION tandem.begin_move(from_epoch bigint, by_move uuid) RETURNS SETOF tandem.authority
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- Whoever calls this tries again after a pause that is several times as long: those who write get on in between.
	PERFORM tandem.stop_writes(wait_ms => 50);
	UPDATE tandem.authority SET phase = 'draining', move = by_move, since = clock_timestamp()
		WHERE epoch = from_epoch AND phase = 'settled' AND by_move <> ALL (called_off);
	-- What waits for its next try, or for a relay that died with it, would keep the writers waiting.
	UPDATE tandem.outbox SET due_at = clock_timestamp() WHERE (aggregate, id) IN (
		SELECT aggregate, id FROM tandem.outbox WHERE due_at > clock_timestamp() AND refusal IS NULL FOR UPDATE SKIP LOCKED
	);
	RETURN QUERY SELECT * FROM tandem.authority;
END
$$;
--> statement-breakpoint
CREATE FUNCTION tandem.end_move(from_epoch bigint, by_move uuid, to_authority text) RETURNS SETOF tandem.authority
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- What is being brought here comes to its end first. There are no writers here who could wait behind it.
	PERFORM tandem.stop_writes(wait_ms => 200);
	UPDATE tandem.authority
		SET authority = to_authority, phase = 'settled', move = NULL, called_off = '{}', epoch = from_epoch + 1,
			since = clock_timestamp()
		WHERE epoch = from_epoch AND move = by_move;
	RETURN QUERY SELECT * FROM tandem.authority;
END
$$;
--> statement-breakpoint
CREATE FUNCTION tandem.call_off_move(from_epoch bigint, by_move uuid) RETURNS SETOF tandem.authority
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE tandem.authority SET
		phase = CASE move WHEN by_move THEN 'settled' ELSE phase END,
		since = CASE move WHEN by_move THEN clock_timestamp() ELSE since END,
		move = nullif(move, by_move),
		-- No step is under way for as long as it takes to call off so many.
		called_off = (by_move || array_remove(called_off, by_move))[:100]
		WHERE epoch = from_epoch;
	RETURN QUERY SELECT * FROM tandem.authority;
END
$$;
