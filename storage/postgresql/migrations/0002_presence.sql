-- Who writes to the log from which machine, and was heard of lately: not events, as each process
-- tells it every few seconds. After a crash of the server the table is empty until they tell again.
CREATE UNLOGGED TABLE @schema@.presence (
    writer_id text COLLATE "C" PRIMARY KEY,
    process bytea NOT NULL,
    parts bytea[] NOT NULL,
    heard_at bigint NOT NULL,
    has_left boolean NOT NULL
);

-- How processes left runs in which others still took part.
CREATE TABLE @schema@.outcomes (
    run_id text COLLATE "C",
    writer_id text COLLATE "C",
    part bytea NOT NULL,
    PRIMARY KEY (run_id, writer_id)
);

CREATE FUNCTION @schema@.beat(writer text, process bytea, parts bytea[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO @schema@.presence AS p VALUES (writer, process, parts, @schema@.clock_us(), false)
    ON CONFLICT (writer_id) DO UPDATE
    SET process = excluded.process, parts = excluded.parts, heard_at = excluded.heard_at, has_left = false
$$;

CREATE FUNCTION @schema@.leave(writer text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE @schema@.presence SET has_left = true, heard_at = @schema@.clock_us() WHERE writer_id = writer;
    -- Nobody asks for those who left long ago.
    DELETE FROM @schema@.presence WHERE has_left AND heard_at < @schema@.clock_us() - 30 * 86400000000;
$$;

CREATE FUNCTION @schema@.forget_writer(writer text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM @schema@.presence WHERE writer_id = writer
$$;

CREATE FUNCTION @schema@.keep_outcome(run text, writer text, part bytea) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO @schema@.outcomes AS o VALUES (run, writer, part)
    ON CONFLICT (run_id, writer_id) DO UPDATE SET part = excluded.part
$$;

CREATE FUNCTION @schema@.forget_outcomes(run text, writer text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM @schema@.outcomes WHERE run_id = run AND writer_id = coalesce(writer, writer_id)
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA @schema@ FROM PUBLIC;
