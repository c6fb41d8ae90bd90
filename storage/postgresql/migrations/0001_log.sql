-- The log of a workspace in a schema of its own.
--
-- `@schema@` stands for the quoted name of the schema. Those who write may only call the functions:
-- each takes the lock, gives positions, times and the name of the role, hashes the leaves and moves
-- the head, in one round trip. So nobody but the owner can change, back-date or sign for another.

CREATE TABLE @schema@.log_format (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL,
    log_id bytea NOT NULL,
    is_erasable boolean NOT NULL DEFAULT false
);

CREATE TABLE @schema@.stored_events (
    notification_id bigint CONSTRAINT stored_events_position PRIMARY KEY,
    originator_id text COLLATE "C" NOT NULL,
    originator_version bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    state bytea NOT NULL,
    event_id bytea,
    recorded_at bigint NOT NULL,
    metadata bytea,
    leaf bytea NOT NULL,
    CONSTRAINT stored_events_version UNIQUE (originator_id, originator_version)
);

-- The head is inserted anew and its predecessor deleted: a row that is updated beside an old
-- snapshot is looked for through all of its versions. So writers lock a row that never changes.
CREATE TABLE @schema@.log_lock (one boolean PRIMARY KEY DEFAULT true CHECK (one));
INSERT INTO @schema@.log_lock VALUES (true);

CREATE TABLE @schema@.log_head (
    position bigint NOT NULL,
    recorded_at bigint NOT NULL,
    frontier bytea NOT NULL,
    version integer NOT NULL,
    clock bigint NOT NULL,
    transaction xid8 NOT NULL,
    PRIMARY KEY (position, recorded_at)
);
INSERT INTO @schema@.log_head VALUES (0, 0, '', 1, 0, '0');

-- How much of each spool of values is in the log.
CREATE TABLE @schema@.drained (
    writer_id text COLLATE "C" PRIMARY KEY,
    lap bigint NOT NULL,
    slot bigint NOT NULL,
    position bigint NOT NULL
);

-- What answers as of a time where clocks disagree: see `runlore.storage.as_of_times`.
CREATE TABLE @schema@.as_of_steps (as_of bigint PRIMARY KEY, position bigint NOT NULL);
CREATE TABLE @schema@.settled (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    until bigint NOT NULL
);
INSERT INTO @schema@.settled (until) VALUES (-1);

-- Where the log was moved to, or what it is an incomplete copy of: see `runlore.storage.fence`.
CREATE TABLE @schema@.fence (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    kind text NOT NULL,
    place text NOT NULL,
    version integer NOT NULL
);

-- Of an erasable log: the key of each run, which zeros replace when it is erased.
CREATE TABLE @schema@.run_keys (run_id text COLLATE "C" PRIMARY KEY, key bytea NOT NULL);
CREATE TABLE @schema@.erasures (position bigint PRIMARY KEY, run_id text COLLATE "C" NOT NULL);

-- The server's clock, in microseconds since 1970 UTC, within the times that can be shown.
CREATE FUNCTION @schema@.clock_us() RETURNS bigint
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT least(greatest((extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 0), @time_end@ - 1)
$$;

-- Whether the bytes are one msgpack map with at most 65,000 keys, and nothing after it, which every
-- decoder reads: keys are texts, texts are UTF-8, and nothing is nested deeper than a hundred.
CREATE FUNCTION @schema@.is_deep_map(data bytea) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    size integer := length(data);
    place integer := 0;
    waiting bigint[] := '{1}';  -- For each map and array that is open: how many values are to come.
    of_map boolean[] := '{f}';
    depth integer := 1;
    kind integer;
    width integer;
    count bigint;
    is_key boolean;
    piece bytea;
BEGIN
    IF size IS NULL OR size = 0 THEN RETURN false; END IF;
    kind := get_byte(data, 0);
    IF NOT (kind BETWEEN 128 AND 143 OR kind = 222) THEN RETURN false; END IF;
    IF kind = 222 AND (size < 3 OR get_byte(data, 1) * 256 + get_byte(data, 2) > 65000) THEN
        RETURN false;
    END IF;
    WHILE depth > 0 LOOP
        IF waiting[depth] = 0 THEN depth := depth - 1; CONTINUE; END IF;
        IF place >= size THEN RETURN false; END IF;
        is_key := of_map[depth] AND waiting[depth] % 2 = 0;
        waiting[depth] := waiting[depth] - 1;
        kind := get_byte(data, place);
        place := place + 1;
        IF is_key AND NOT (kind BETWEEN 160 AND 191 OR kind BETWEEN 217 AND 219) THEN
            RETURN false;
        END IF;
        width := CASE
            WHEN kind IN (196, 204, 208, 217) THEN 1
            WHEN kind IN (197, 205, 209, 218, 220, 222) THEN 2
            WHEN kind IN (198, 202, 206, 210, 219, 221, 223) THEN 4
            WHEN kind IN (203, 207, 211) THEN 8
            ELSE 0
        END;
        IF place + width > size THEN RETURN false; END IF;
        count := CASE
            WHEN kind BETWEEN 128 AND 143 THEN kind - 128
            WHEN kind BETWEEN 144 AND 159 THEN kind - 144
            WHEN kind BETWEEN 160 AND 191 THEN kind - 160
            ELSE 0
        END;
        IF kind BETWEEN 196 AND 198 OR kind BETWEEN 217 AND 223 THEN
            FOR i IN place .. place + width - 1 LOOP count := count * 256 + get_byte(data, i); END LOOP;
        END IF;
        place := place + width;
        IF count > size - place THEN RETURN false; END IF;
        CASE
            WHEN kind < 128 OR kind >= 224 OR kind IN (192, 194, 195) OR kind BETWEEN 202 AND 211 THEN
                NULL;
            WHEN kind BETWEEN 128 AND 159 OR kind BETWEEN 220 AND 223 THEN
                IF depth >= 100 THEN RETURN false; END IF;
                depth := depth + 1;
                of_map[depth] := kind < 144 OR kind >= 222;
                waiting[depth] := CASE WHEN of_map[depth] THEN 2 * count ELSE count END;
            WHEN kind BETWEEN 196 AND 198 THEN
                place := place + count::integer;
            WHEN kind BETWEEN 160 AND 191 OR kind BETWEEN 217 AND 219 THEN
                piece := substr(data, place + 1, count::integer);
                WHILE position('\x00'::bytea IN piece) > 0 LOOP  -- Texts of PostgreSQL have none.
                    piece := set_byte(piece, position('\x00'::bytea IN piece) - 1, 32);
                END LOOP;
                PERFORM convert_from(piece, 'UTF8');
                place := place + count::integer;
            ELSE RETURN false;
        END CASE;
    END LOOP;
    RETURN place = size;
END $$;

-- The same, quickly for the usual one: a few short texts and numbers.
CREATE FUNCTION @schema@.is_map(data bytea) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    size integer := length(data);
    place integer := 1;
    kind integer;
    piece bytea;
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
        PERFORM convert_from(piece, 'UTF8');
    END LOOP;
    RETURN place = size;
END $$;

-- A msgpack map with entries before and after its own: of equal keys, decoders keep the last.
CREATE FUNCTION @schema@.with_entries(map bytea, count integer, before bytea, after bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    has integer := CASE WHEN get_byte(map, 0) = 222
        THEN get_byte(map, 1) * 256 + get_byte(map, 2) ELSE get_byte(map, 0) - 128 END;
    rest bytea := substr(map, CASE WHEN get_byte(map, 0) = 222 THEN 4 ELSE 2 END);
BEGIN
    RETURN CASE WHEN has + count < 16 THEN set_byte('\x00', 0, 128 + has + count)
        ELSE '\xde'::bytea || substr(int4send(has + count), 3) END || before || rest || after;
END $$;

-- A key and a whole number, or a text of at most 255 bytes, in msgpack.
CREATE FUNCTION @schema@.entry(key text, value bigint) RETURNS bytea
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT set_byte('\x00', 0, 160 + length(key)) || convert_to(key, 'UTF8')
        || '\xd3'::bytea || int8send(value)
$$;
CREATE FUNCTION @schema@.entry(key text, value text) RETURNS bytea
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT set_byte('\x00', 0, 160 + length(key)) || convert_to(key, 'UTF8')
        || '\xd9'::bytea || set_byte('\x00', 0, octet_length(value)) || convert_to(value, 'UTF8')
$$;

-- Wait for the turn to write, at most so long. Holders that stop are cut off after five seconds.
CREATE FUNCTION @schema@.lock_log(wait_ms integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'a change needs the isolation level READ COMMITTED' USING ERRCODE = 'RL003';
    END IF;
    IF current_setting('synchronous_commit') = 'off' THEN
        RAISE EXCEPTION 'synchronous_commit is off, so a commit may be lost' USING ERRCODE = 'RL004';
    END IF;
    PERFORM set_config('lock_timeout', wait_ms || 'ms', true);
    PERFORM set_config('idle_in_transaction_session_timeout', '5s', true);
    PERFORM 1 FROM @schema@.log_lock FOR UPDATE;
END $$;

-- The frontier of a tree after more leaves, level by level; `nodes` and `leaves` are hashes in a row.
CREATE FUNCTION @schema@.extended(size bigint, nodes bytea, leaves bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
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
        SELECT coalesce(string_agg(sha256('\x01'::bytea || substr(leaves, 64 * i + 1, 64)), ''::bytea), '')  -- In the order of the series.
            INTO leaves FROM generate_series(0, n / 2 - 1) AS i;
        level := level + 1;
    END LOOP;
    RETURN substr(nodes, 1, 32 * have) || kept;
END $$;

-- Store events. `metas` has each distinct metadata once, `meta_of` the number of each event's, from 1;
-- events of other applications have neither ids nor metadata. `writer` says how far its spool is drained.
CREATE FUNCTION @schema@.append(
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
BEGIN
    IF m IS NULL OR (n, n, n, n, n) IS DISTINCT FROM (cardinality(versions), cardinality(topics), cardinality(states),
            cardinality(ids), CASE WHEN m > 0 THEN cardinality(meta_of) ELSE n END)
        OR EXISTS (SELECT 1 FROM unnest(meta_of) AS u(k) WHERE k IS NULL OR k NOT BETWEEN 1 AND m)
        OR '' = ANY(streams) OR '' = ANY(topics)
        OR EXISTS (SELECT 1 FROM unnest(ids) AS u(id) WHERE length(id) <> 16 OR (id IS NULL) <> (m = 0))
        OR EXISTS (SELECT 1 FROM unnest(metas) AS u(meta) WHERE NOT @schema@.is_map(meta))
        OR array_lower(metas, 1) <> 1
        OR 2 <= ANY(ARRAY[array_ndims(streams), array_ndims(versions), array_ndims(topics), array_ndims(states),
            array_ndims(ids), array_ndims(metas), array_ndims(meta_of)])
    THEN
        RAISE EXCEPTION 'these are no events' USING ERRCODE = 'RL005';
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
        metas_stored[i] := @schema@.with_entries(metas[i], added, observed, more);
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
        RETURNING notification_id, leaf
    )
    SELECT coalesce(string_agg(leaf, ''::bytea ORDER BY notification_id), '') INTO leaves FROM new;

    IF n > 0 THEN
        INSERT INTO @schema@.log_head VALUES (
            head.position + n, at, @schema@.extended(head.position, head.frontier, leaves),
            greatest(head.version, asked_version), now, pg_current_xact_id());
        DELETE FROM @schema@.log_head AS h
            WHERE (h.position, h.recorded_at) = (head.position, head.recorded_at);
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
    IF writer IS NOT NULL THEN
        INSERT INTO @schema@.drained AS d VALUES (writer, lap, slot, head.position + n)
            ON CONFLICT (writer_id) DO UPDATE
            SET lap = excluded.lap, slot = excluded.slot, position = excluded.position;
    END IF;
END $$;

-- The keys of runs of an erasable log: these, for those that have none and were not erased.
CREATE FUNCTION @schema@.keys_for(runs text[], fresh bytea[])
RETURNS TABLE (run_id text, key bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF cardinality(runs) IS DISTINCT FROM cardinality(fresh)
        OR EXISTS (SELECT FROM unnest(fresh) AS u(f) WHERE length(f) IS DISTINCT FROM 32)
        OR NOT (SELECT is_erasable FROM @schema@.log_format)
    THEN
        RAISE EXCEPTION 'these are no keys' USING ERRCODE = 'RL005';
    END IF;
    INSERT INTO @schema@.run_keys SELECT * FROM unnest(runs, fresh) ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT k.run_id, k.key FROM @schema@.run_keys AS k WHERE k.run_id = ANY(runs);
END $$;

-- Let no later event change the log as of a time: see `EventLog.settle`.
CREATE FUNCTION @schema@.settle(asked bigint, known_version integer, wait_ms integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head @schema@.log_head;
    now bigint;
BEGIN
    PERFORM 1 FROM @schema@.settled WHERE until >= asked;
    IF FOUND THEN RETURN; END IF;
    PERFORM @schema@.lock_log(wait_ms);
    SELECT * INTO head FROM @schema@.log_head ORDER BY position DESC, recorded_at DESC LIMIT 1;
    IF head.version > known_version THEN
        RAISE EXCEPTION 'the log has version %', head.version
            USING ERRCODE = 'RL001', DETAIL = head.version || ' ' || known_version;
    END IF;
    now := @schema@.clock_us();
    IF asked > now AND (asked >= head.recorded_at OR asked > now + @skew@) THEN
        RAISE EXCEPTION 'the time has not passed' USING ERRCODE = 'RL002', DETAIL = asked || ' ' || now;
    END IF;
    UPDATE @schema@.settled SET until = greatest(until, asked);
    IF asked + 1 > head.recorded_at THEN
        INSERT INTO @schema@.log_head VALUES (
            head.position, asked + 1, head.frontier, head.version, head.clock, '0');
        DELETE FROM @schema@.log_head AS h
            WHERE (h.position, h.recorded_at) = (head.position, head.recorded_at);
    END IF;
END $$;

-- The last position as of a time. Positions have no holes and times never decrease, so the primary
-- key is searched by halves.
CREATE FUNCTION @schema@.position_at(asked bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    low bigint := 0;
    high bigint;
    middle bigint;
BEGIN
    SELECT coalesce(max(notification_id), 0) INTO high FROM @schema@.stored_events;
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        PERFORM 1 FROM @schema@.stored_events
            WHERE notification_id = middle AND recorded_at <= asked;
        IF FOUND THEN low := middle; ELSE high := middle - 1; END IF;
    END LOOP;
    SELECT position INTO middle FROM @schema@.as_of_steps
        WHERE as_of <= asked ORDER BY as_of DESC LIMIT 1;
    RETURN greatest(low, coalesce(middle, 0));
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA @schema@ FROM PUBLIC;
