-- The tables of the projection and the views over them. Rebuilt from the log at any time.
--
-- Temporal tables hold rows for [from_position, to_position); the current ones have no
-- to_position. No PRIMARY KEY, UNIQUE or foreign key: they make files 3 to 8 times larger and
-- keep the first of two rows silently; the projector guarantees the keys and tests check them.
-- Times are µs since 1970 UTC inside, TIMESTAMPTZ in the views.

CREATE SCHEMA store;

CREATE TABLE store.writers (
    writer_id VARCHAR, actor VARCHAR, host VARCHAR, pid BIGINT, process VARCHAR,
    client_version VARCHAR, opened_at BIGINT, position BIGINT
);

CREATE TABLE store.experiments (
    experiment_no BIGINT, experiment_id VARCHAR, name VARCHAR, created_at BIGINT, position BIGINT
);
CREATE TABLE store.experiment_states (
    experiment_no BIGINT, archived_at BIGINT, from_position BIGINT, to_position BIGINT
);
CREATE TABLE store.experiment_tags (
    experiment_no BIGINT, key VARCHAR, value VARCHAR, changed_at BIGINT, writer_id VARCHAR,
    from_position BIGINT, to_position BIGINT
);

-- run_no is dense in order of creation; path is the run_nos from the root on, 8 hex digits each.
-- parent_id and root_id say what joins would say: two joins to all runs take half of a list's time.
CREATE TABLE store.runs (
    run_no BIGINT, run_id VARCHAR, experiment_no BIGINT, number BIGINT,
    parent_no BIGINT, parent_id VARCHAR, root_no BIGINT, root_id VARCHAR,
    depth BIGINT, path VARCHAR,
    run_type VARCHAR, target VARCHAR, name VARCHAR,
    created_at BIGINT, writer_id VARCHAR, position BIGINT, erased BOOLEAN
);
-- begun_at is what lists are sorted by: started_at or, before there is one, the run's created_at.
CREATE TABLE store.run_states (
    run_no BIGINT, status VARCHAR, status_detail VARCHAR, started_at BIGINT, ended_at BIGINT,
    ended_position BIGINT, display_name VARCHAR, description VARCHAR, error VARCHAR,
    begun_at BIGINT, status_changed BOOLEAN, changed_at BIGINT, writer_id VARCHAR,
    from_position BIGINT, to_position BIGINT
);
-- Filters mostly ask within one experiment, so tags and properties say whose they are.
CREATE TABLE store.run_tags (
    run_no BIGINT, experiment_no BIGINT, key VARCHAR, value VARCHAR, changed_at BIGINT,
    writer_id VARCHAR, from_position BIGINT, to_position BIGINT
);
-- A value with a reason corrected an earlier one.
CREATE TABLE store.run_properties (
    run_no BIGINT, experiment_no BIGINT, key VARCHAR, value VARCHAR, reason VARCHAR,
    changed_at BIGINT, writer_id VARCHAR, from_position BIGINT, to_position BIGINT
);

CREATE TABLE store.artifacts (
    run_no BIGINT, name VARCHAR, sha256 VARCHAR, nbytes BIGINT, changed_at BIGINT,
    writer_id VARCHAR, from_position BIGINT, to_position BIGINT
);
-- What the scripts of submitted runs are executed with, as JSON.
CREATE TABLE store.submissions (
    run_no BIGINT, definition VARCHAR, repeats VARCHAR, position BIGINT
);
CREATE TABLE store.snapshots (
    run_no BIGINT, snapshot_id VARCHAR, manifest_sha256 VARCHAR, files BIGINT, nbytes BIGINT,
    taken_at BIGINT, writer_id VARCHAR, position BIGINT
);
-- Changes that the state of a run refused: the topic asked for, what stood, what was asked.
CREATE TABLE store.refusals (
    run_no BIGINT, change VARCHAR, key VARCHAR, held VARCHAR, refused VARCHAR, reason VARCHAR,
    refused_at BIGINT, writer_id VARCHAR, position BIGINT
);

-- What is not as asked about a run, and does not stop it.
CREATE TABLE store.warnings (
    run_no BIGINT, source VARCHAR, message VARCHAR, warned_at BIGINT, writer_id VARCHAR,
    position BIGINT
);

CREATE TABLE store.series (series_no INTEGER, name VARCHAR, col VARCHAR, kind VARCHAR);

-- The newest points; see segments.py for where the others are. `type` is a place in `fibsn` and
-- says what was logged: float, whole number, bool, text, None. `text` holds what `value` cannot
-- hold exactly.
CREATE TABLE store.tail_points (
    series_no INTEGER, run_no BIGINT, step BIGINT, time BIGINT, value DOUBLE, text VARCHAR,
    type UTINYINT, position BIGINT, idx INTEGER
);
-- Files of the segment folder.
CREATE TABLE store.segments (
    name VARCHAR, rows BIGINT, from_position BIGINT, to_position BIGINT, nbytes BIGINT, crc32 BIGINT
);
-- Replaced by one that reads the segments, too, as soon as there are any.
CREATE VIEW store.metric_points AS FROM store.tail_points;

-- One row per run and series; `last` is by position and index. `numbers` counts the values that
-- are numbers, as DOUBLE: those that have a part in min, max and sum.
CREATE TABLE store.metric_latest (
    series_no INTEGER, run_no BIGINT, n BIGINT, numbers BIGINT, last DOUBLE, last_text VARCHAR,
    last_type UTINYINT, min DOUBLE, max DOUBLE, sum DOUBLE, first_step BIGINT, last_step BIGINT,
    first_time BIGINT, last_time BIGINT
);

CREATE TABLE store.events (
    position BIGINT, stream VARCHAR, version BIGINT, topic VARCHAR, recorded_at BIGINT,
    writer_id VARCHAR, reason VARCHAR
);

CREATE VIEW experiments AS
SELECT e.experiment_id, e.name, make_timestamptz(e.created_at) AS created_at,
       make_timestamptz(s.archived_at) AS archived_at,
       (SELECT count(*) FROM store.runs r WHERE r.experiment_no = e.experiment_no) AS run_count
FROM store.experiments e
JOIN store.experiment_states s ON s.experiment_no = e.experiment_no AND s.to_position IS NULL;

CREATE VIEW runs AS
SELECT r.run_id, e.name AS experiment, e.experiment_id, r.number,
       coalesce(s.display_name, r.run_id) AS display_name, r.name, r.run_type, r.target,
       s.status, s.status_detail,
       make_timestamptz(r.created_at) AS created_at,
       make_timestamptz(s.started_at) AS started_at,
       make_timestamptz(s.ended_at) AS ended_at,
       (s.ended_at - s.started_at) / 1e6 AS duration_s,
       r.parent_id, r.root_id, r.depth, s.description, s.error,
       w.actor, w.host, r.erased
FROM store.runs r
JOIN store.experiments e ON e.experiment_no = r.experiment_no
JOIN store.run_states s ON s.run_no = r.run_no AND s.to_position IS NULL
LEFT JOIN store.writers w ON w.writer_id = r.writer_id;

CREATE VIEW tags AS
SELECT r.run_id, t.key, t.value, make_timestamptz(t.changed_at) AS set_at, w.actor AS set_by
FROM store.run_tags t
JOIN store.runs r ON r.run_no = t.run_no
LEFT JOIN store.writers w ON w.writer_id = t.writer_id
WHERE t.to_position IS NULL;

CREATE VIEW properties AS
SELECT r.run_id, t.key, t.value, make_timestamptz(t.changed_at) AS set_at, w.actor AS set_by,
       t.reason
FROM store.run_properties t
JOIN store.runs r ON r.run_no = t.run_no
LEFT JOIN store.writers w ON w.writer_id = t.writer_id
WHERE t.to_position IS NULL;

CREATE VIEW metric_points AS
SELECT r.run_id, s.name AS metric, s.col AS "column", s.kind, p.step,
       make_timestamptz(p.time) AS time, p.value, p.text, substr('fibsn', p.type + 1, 1) AS type,
       p.position, p.idx::BIGINT AS "index",
       coalesce(p.position > e.ended_position, false) AS late
FROM store.metric_points p
JOIN store.series s ON s.series_no = p.series_no
JOIN store.runs r ON r.run_no = p.run_no
JOIN store.run_states e ON e.run_no = p.run_no AND e.to_position IS NULL;

CREATE VIEW metrics AS
SELECT r.run_id, s.name AS metric, s.col AS "column", s.kind, m.n, m.last, m.last_text, m.min,
       m.max, CASE WHEN m.numbers > 0 THEN m.sum / m.numbers END AS mean,
       m.first_step, m.last_step, make_timestamptz(m.last_time) AS last_time
FROM store.metric_latest m
JOIN store.series s ON s.series_no = m.series_no
JOIN store.runs r ON r.run_no = m.run_no;

CREATE VIEW run_tree AS
SELECT a.run_id AS ancestor_id, d.run_id, d.depth - a.depth AS distance
FROM store.runs d
JOIN store.runs a ON a.root_no = d.root_no AND starts_with(d.path, a.path) AND a.run_no <> d.run_no;

CREATE VIEW tag_history AS
SELECT r.run_id, t.key, t.value, make_timestamptz(t.changed_at) AS set_at, w.actor AS set_by,
       t.from_position, t.to_position
FROM store.run_tags t
JOIN store.runs r ON r.run_no = t.run_no
LEFT JOIN store.writers w ON w.writer_id = t.writer_id;

CREATE VIEW property_history AS
SELECT r.run_id, t.key, t.value, make_timestamptz(t.changed_at) AS set_at, w.actor AS set_by,
       t.reason, t.from_position, t.to_position
FROM store.run_properties t
JOIN store.runs r ON r.run_no = t.run_no
LEFT JOIN store.writers w ON w.writer_id = t.writer_id;

CREATE VIEW status_history AS
SELECT r.run_id, s.status, s.status_detail, make_timestamptz(s.changed_at) AS changed_at,
       w.actor AS changed_by, s.from_position AS position
FROM store.run_states s
JOIN store.runs r ON r.run_no = s.run_no
LEFT JOIN store.writers w ON w.writer_id = s.writer_id
WHERE s.status_changed;
