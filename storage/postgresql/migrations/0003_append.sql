-- Who may say how much of a spool of values is in the log: the role that its writer logged in as, and
-- the owner. And a writer raises the log's version no further than the runlore of these tables knows.
--
-- Functions that only `append` calls have its search path. They and it evaluate expressions where
-- they can, instead of statements: those take most of the time of a single event.

CREATE TABLE @schema@.writers (writer_id text COLLATE "C" PRIMARY KEY, db_user text NOT NULL);

-- Of those that wrote before: what the server noted in their first event, which is the last of equal keys.
DO $do$
DECLARE
    first record;
    sign bytea := '\xa764625f75736572d9';
    place integer;
    rest bytea;
    name bytea;
BEGIN
    FOR first IN SELECT substr(originator_id, 8) AS id, metadata FROM @schema@.stored_events
        WHERE originator_id LIKE 'writer/%' AND originator_version = 1 AND metadata IS NOT NULL
    LOOP
        rest := first.metadata;
        name := NULL;
        LOOP
            place := position(sign IN rest);
            EXIT WHEN place = 0 OR length(rest) < place + length(sign);
            rest := substr(rest, place + length(sign));
            name := substr(rest, 2, get_byte(rest, 0));
        END LOOP;
        IF name IS NOT NULL THEN
            INSERT INTO @schema@.writers VALUES (first.id, convert_from(name, 'UTF8'));
        END IF;
    END LOOP;
END $do$;

-- The newest version that events may ask for: `LOG_VERSION` of runlore, which a test compares.
CREATE FUNCTION @schema@.newest_version() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 2';

CREATE OR REPLACE FUNCTION @schema@.is_map(data bytea) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    size integer := length(data);
    place integer := 1;
    kind integer;
    piece bytea;
    told text;
BEGIN
    IF size IS NULL OR size = 0 THEN RETURN false; END IF;
    kind := get_byte(data, 0);
    IF kind NOT BETWEEN 128 AND 143 THEN RETURN @schema@.is_deep_map(data); END IF;
    FOR i IN 1 .. 2 * (kind - 128) LOOP
        IF place >= size THEN RETURN false; END IF;
        kind := get_byte(data, place);
        IF kind BETWEEN 160 AND 191 THEN
            piece := substr(data, place + 2, kind - 160);
            place := place + kind - 159;
        ELSIF kind = 217 AND place + 1 < size THEN
            piece := substr(data, place + 3, get_byte(data, place + 1));
            place := place + 2 + get_byte(data, place + 1);
        ELSIF i % 2 = 0 AND kind = 207 THEN
            place := place + 9;
            CONTINUE;
        ELSE
            RETURN @schema@.is_deep_map(data);
        END IF;
        IF place > size THEN RETURN false; END IF;
        IF position('\x00'::bytea IN piece) > 0 THEN RETURN @schema@.is_deep_map(data); END IF;
        told := convert_from(piece, 'UTF8');
    END LOOP;
    RETURN place = size;
END $$;

CREATE OR REPLACE FUNCTION @schema@.with_entries(map bytea, count integer, before bytea, after bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    has integer := CASE WHEN get_byte(map, 0) = 222
        THEN get_byte(map, 1) * 256 + get_byte(map, 2) ELSE get_byte(map, 0) - 128 END;
    rest bytea := substr(map, CASE WHEN get_byte(map, 0) = 222 THEN 4 ELSE 2 END);
BEGIN
    RETURN CASE WHEN has + count < 16 THEN set_byte('\x00', 0, 128 + has + count)
        ELSE '\xde'::bytea || substr(int4send(has + count), 3) END || before || rest || after;
END $$;

CREATE OR REPLACE FUNCTION @schema@.entry(key text, value bigint) RETURNS bytea
LANGUAGE sql IMMUTABLE AS $$
    SELECT set_byte('\x00', 0, 160 + length(key)) || convert_to(key, 'UTF8')
        || '\xd3'::bytea || int8send(value)
$$;
CREATE OR REPLACE FUNCTION @schema@.entry(key text, value text) RETURNS bytea
LANGUAGE sql IMMUTABLE AS $$
    SELECT set_byte('\x00', 0, 160 + length(key)) || convert_to(key, 'UTF8')
        || '\xd9'::bytea || set_byte('\x00', 0, octet_length(value)) || convert_to(value, 'UTF8')
$$;

CREATE OR REPLACE FUNCTION @schema@.lock_log(wait_ms integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    told text;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'a change needs the isolation level READ COMMITTED' USING ERRCODE = 'RL003';
    END IF;
    IF current_setting('synchronous_commit') = 'off' THEN
        RAISE EXCEPTION 'synchronous_commit is off, so a commit may be lost' USING ERRCODE = 'RL004';
    END IF;
    told := set_config('lock_timeout', wait_ms || 'ms', true);
    told := set_config('idle_in_transaction_session_timeout', '5s', true);
    PERFORM 1 FROM @schema@.log_lock FOR UPDATE;
END $$;

CREATE OR REPLACE FUNCTION @schema@.extended(size bigint, nodes bytea, leaves bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    level integer := 0;
    have integer := length(nodes) / 32;
    kept bytea := '';
    n integer;
BEGIN
    WHILE length(leaves) > 0 LOOP
        IF (size >> level) & 1 = 1 THEN
            leaves := substr(nodes, 32 * have - 31, 32) || leaves;
            have := have - 1;
        END IF;
        n := length(leaves) / 32;
        IF n & 1 = 1 THEN kept := substr(leaves, 32 * n - 31, 32) || kept; END IF;
        IF n < 2 THEN
            leaves := '';
        ELSIF n < 4 THEN
            leaves := sha256('\x01'::bytea || substr(leaves, 1, 64));
        ELSE
            SELECT string_agg(sha256('\x01'::bytea || substr(leaves, 64 * i + 1, 64)), ''::bytea)  -- In the order of the series.
                INTO leaves FROM generate_series(0, n / 2 - 1) AS i;
        END IF;
        level := level + 1;
    END LOOP;
    RETURN substr(nodes, 1, 32 * have) || kept;
END $$;

CREATE OR REPLACE FUNCTION @schema@.append(
    streams text[], versions bigint[], topics text[], states bytea[], ids bytea[],
    metas bytea[], meta_of integer[], asked_version integer, known_version integer,
    writer text, lap bigint, slot bigint, wait_ms integer,
    OUT first_position bigint, OUT at bigint, OUT now bigint, OUT head_at bigint,
    OUT metas_stored bytea[], OUT leaves bytea
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head @schema@.log_head;
    n integer := cardinality(streams);
    m integer := cardinality(metas);
    counts_from bigint;
    added integer;
    observed bytea;
    more bytea;
    fits boolean;
    owner text;
BEGIN
    IF 2 <= ANY(ARRAY[array_ndims(streams), array_ndims(versions), array_ndims(topics), array_ndims(states),
        array_ndims(ids), array_ndims(metas), array_ndims(meta_of)])
    THEN
        RAISE EXCEPTION 'these are no events' USING ERRCODE = 'RL005';
    END IF;
    IF m IS NULL OR (n, n, n, n, n) IS DISTINCT FROM (cardinality(versions), cardinality(topics), cardinality(states),
            cardinality(ids), CASE WHEN m > 0 THEN cardinality(meta_of) ELSE n END)
        OR (1 <= ALL(meta_of) AND m >= ALL(meta_of)) IS NOT TRUE
        OR '' = ANY(streams) OR '' = ANY(topics)
        OR cardinality(array_remove(ids, NULL)) <> (CASE WHEN m > 0 THEN n ELSE 0 END)
        OR array_lower(metas, 1) <> 1
    THEN
        RAISE EXCEPTION 'these are no events' USING ERRCODE = 'RL005';
    END IF;
    FOR i IN 1 .. m LOOP
        IF NOT @schema@.is_map(metas[i]) THEN
            RAISE EXCEPTION 'these are no events' USING ERRCODE = 'RL005';
        END IF;
    END LOOP;
    IF asked_version > @schema@.newest_version() AND NOT pg_has_role(session_user, current_user, 'USAGE') THEN
        RAISE EXCEPTION 'events of version % need newer tables than these: let the owner of the schema open the '
            'workspace once with this runlore', asked_version USING ERRCODE = 'RL006';
    END IF;
    PERFORM @schema@.lock_log(wait_ms);
    SELECT * INTO head FROM @schema@.log_head ORDER BY position DESC, recorded_at DESC LIMIT 1;
    IF head.version > known_version THEN
        RAISE EXCEPTION 'the log has version %', head.version
            USING ERRCODE = 'RL001', DETAIL = head.version || ' ' || known_version;
    END IF;
    head_at := head.recorded_at;
    -- The parts of one transaction have one time.
    now := CASE WHEN head.transaction = pg_current_xact_id() THEN head.clock ELSE @schema@.clock_us() END;
    at := greatest(now, head.recorded_at);
    counts_from := at;
    IF now < at AND m > 0 THEN
        SELECT greatest(now, until + 1) INTO counts_from FROM @schema@.settled;
    END IF;
    first_position := head.position + 1;

    metas_stored := metas;
    FOR i IN 1 .. m LOOP
        added := 1;
        more := @schema@.entry('db_user', session_user::text);
        observed := '';
        IF now <> at THEN  -- Unless the event itself says when it was observed.
            added := added + 1;
            observed := @schema@.entry('observed_at', now);
        END IF;
        -- A key can be written in several ways.
        IF counts_from <> at OR position('as_of'::bytea IN metas[i]) > 0 THEN
            added := added + 1;
            more := more || @schema@.entry('as_of', counts_from);
        END IF;
        metas_stored[i] := CASE WHEN added = 1 AND get_byte(metas[i], 0) < 143
            THEN set_byte(metas[i], 0, get_byte(metas[i], 0) + 1) || more
            ELSE @schema@.with_entries(metas[i], added, observed, more) END;
    END LOOP;

    WITH new AS (
        INSERT INTO @schema@.stored_events
        SELECT head.position + o, stream, version, topic, state, id, at, meta,
               sha256(  -- See `runlore.storage.merkle`; a function of its own costs as much again.
                   '\x0000000008'::bytea || int8send(head.position + o)
                   || int4send(octet_length(stream)) || convert_to(stream, 'UTF8')
                   || '\x00000008'::bytea || int8send(version)
                   || int4send(octet_length(topic)) || convert_to(topic, 'UTF8')
                   || coalesce(int4send(octet_length(id)) || id, '\xffffffff'::bytea)
                   || '\x00000008'::bytea || int8send(at)
                   || coalesce(int4send(octet_length(meta)) || meta, '\xffffffff'::bytea)
                   || int4send(octet_length(state)) || state)
        FROM (SELECT u.*, metas_stored[k] AS meta
              FROM unnest(streams, versions, topics, states, ids, meta_of)
              WITH ORDINALITY AS u(stream, version, topic, state, id, k, o)) AS u
        RETURNING notification_id, event_id, leaf
    )
    SELECT coalesce(string_agg(leaf, ''::bytea ORDER BY notification_id), ''), bool_and(length(event_id) = 16)
        INTO leaves, fits FROM new;
    IF NOT fits THEN
        RAISE EXCEPTION 'these are no events' USING ERRCODE = 'RL005';
    END IF;

    IF n > 0 THEN
        WITH gone AS (
            DELETE FROM @schema@.log_head AS h
            WHERE (h.position, h.recorded_at) = (head.position, head.recorded_at)
        )
        INSERT INTO @schema@.log_head VALUES (
            head.position + n, at, @schema@.extended(head.position, head.frontier, leaves),
            greatest(head.version, asked_version), now, pg_current_xact_id());
        IF counts_from < at THEN
            DELETE FROM @schema@.as_of_steps AS s WHERE s.as_of >= counts_from;
            INSERT INTO @schema@.as_of_steps VALUES (counts_from, head.position + n);
        END IF;
    END IF;
    IF 'run.erased' = ANY(topics) AND (SELECT is_erasable FROM @schema@.log_format) THEN
        INSERT INTO @schema@.erasures
            SELECT notification_id, split_part(originator_id, '/', 2) FROM @schema@.stored_events
            WHERE notification_id > head.position AND topic = 'run.erased' AND originator_id LIKE 'run/%';
        UPDATE @schema@.run_keys AS k SET key = decode(repeat('00', 32), 'hex')
            FROM @schema@.erasures AS e WHERE e.position > head.position AND e.run_id = k.run_id;
    END IF;
    IF 'writer.opened' = ANY(topics) THEN
        INSERT INTO @schema@.writers SELECT substr(stream, 8), session_user
            FROM unnest(streams, topics, versions) AS u(stream, topic, version)
            WHERE topic = 'writer.opened' AND version = 1 AND stream LIKE 'writer/%'
            ON CONFLICT DO NOTHING;
    END IF;
    IF writer IS NOT NULL THEN
        SELECT db_user INTO owner FROM @schema@.writers WHERE writer_id = writer;
        IF owner IS NULL THEN
            INSERT INTO @schema@.writers VALUES (writer, session_user);
        ELSIF owner <> session_user AND NOT pg_has_role(session_user, current_user, 'USAGE') THEN
            RAISE EXCEPTION 'the values of writer % are those of role %: let that role record them', writer, owner
                USING ERRCODE = 'RL006';
        END IF;
        INSERT INTO @schema@.drained AS d VALUES (writer, lap, slot, head.position + n)
            ON CONFLICT (writer_id) DO UPDATE
            SET lap = excluded.lap, slot = excluded.slot, position = excluded.position;
    END IF;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA @schema@ FROM PUBLIC;
