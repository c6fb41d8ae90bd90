-- The tables of the projection; the views over them are in views.sql. Rebuilt from the log at any
-- time.
--
-- Temporal tables hold rows for [from_position, to_position); the current ones have no
-- to_position. No PRIMARY KEY, UNIQUE or foreign key: they make files 3 to 8 times larger and
-- keep the first of two rows silently; the projector guarantees the keys and tests check them.
-- Times are µs since 1970 UTC inside, TIMESTAMPTZ in the views; they are those that people see: given
-- by the caller or else observed by the writer's clock. Only `events` has the times of recording.

CREATE SCHEMA store;

-- What is of the files, not of the log: how many rows a table had when it was last rewritten in
-- the order of table_order.py, and whether `store.metric_points` reads segments, which takes 8 ms
-- to find out from DuckDB.
CREATE SCHEMA layout;
CREATE TABLE layout.clustered (name VARCHAR, rows BIGINT);
CREATE TABLE layout.points (with_segments BOOLEAN);
INSERT INTO layout.points VALUES (false);

-- The ids that the workspace had: a copy that became a workspace of its own has a new one.
CREATE TABLE store.identities (
    workspace_id VARCHAR, origin_id VARCHAR, note VARCHAR, since BIGINT, writer_id VARCHAR,
    position BIGINT
);

CREATE TABLE store.writers (
    writer_id VARCHAR, actor VARCHAR, host VARCHAR, pid BIGINT, process VARCHAR,
    client_version VARCHAR, boot_id VARCHAR, started_at BIGINT, uid BIGINT, machine_id VARCHAR,
    program VARCHAR, opened_at BIGINT, position BIGINT
);

CREATE TABLE store.experiments (
    experiment_no BIGINT, experiment_id VARCHAR, created_at BIGINT, position BIGINT
);
-- The name is here, as it can change; so is the id, for lists to join one table.
CREATE TABLE store.experiment_states (
    experiment_no BIGINT, experiment_id VARCHAR, name VARCHAR, archived_at BIGINT,
    from_position BIGINT, to_position BIGINT
);
CREATE TABLE store.experiment_tags (
    experiment_no BIGINT, key VARCHAR, value VARCHAR, changed_at BIGINT, writer_id VARCHAR,
    from_position BIGINT, to_position BIGINT
);

-- git_commit is that of the property of a run with a snapshot; its surroundings may name another.
-- run_no is dense in order of creation; path is the run_nos from the root on, 8 hex digits each.
-- parent_id and root_id say what joins would say: two joins to all runs take half of a list's time.
-- A run whose parent is unknown is a root that awaits it (awaited_id); when the parent arrives, it
-- and all below it move there, and attached_position says since when.
CREATE TABLE store.runs (
    run_no BIGINT, run_id VARCHAR, experiment_no BIGINT, number BIGINT,
    parent_no BIGINT, parent_id VARCHAR, root_no BIGINT, root_id VARCHAR,
    depth BIGINT, path VARCHAR,
    run_type VARCHAR, target VARCHAR, name VARCHAR,
    given_at BIGINT, given_user VARCHAR, git_commit VARCHAR,
    created_at BIGINT, writer_id VARCHAR, position BIGINT, erased BOOLEAN,
    awaited_id VARCHAR, attached_position BIGINT
);
-- begun_at is what lists are sorted by: started_at or, before there is one, the run's created_at.
-- A run that was resumed has run in several spans: running_since is when the present one began, and
-- ran_us the length of those before; last_ended_at is the last end of a run that has none now.
-- before_loss is JSON: [running_since, ran_us, last_ended_at] to go back to if a lost run is found.
CREATE TABLE store.run_states (
    run_no BIGINT, status VARCHAR, status_detail VARCHAR, started_at BIGINT, ended_at BIGINT,
    ended_position BIGINT, display_name VARCHAR, description VARCHAR, error VARCHAR,
    begun_at BIGINT, last_ended_at BIGINT, running_since BIGINT, ran_us BIGINT, archived_at BIGINT,
    before_loss VARCHAR, status_changed BOOLEAN, changed_at BIGINT, writer_id VARCHAR,
    from_position BIGINT, to_position BIGINT
);
-- The parts of the log in which runs had ended, before they were resumed: after the end's position
-- and before that of the resumption, with which the row came.
CREATE TABLE store.pauses (run_no BIGINT, ended_position BIGINT, position BIGINT);
CREATE TABLE store.losses (
    run_no BIGINT, evidence VARCHAR, lost_at BIGINT, writer_id VARCHAR, position BIGINT
);
-- From its position on, points of later steps that came before it are void; see rewinds.py.
CREATE TABLE store.rewinds (
    run_no BIGINT, step BIGINT, rewound_at BIGINT, writer_id VARCHAR, position BIGINT
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

-- The leaves of configs by their flattened keys, their JSON, and the number that it is or says.
CREATE TABLE store.run_config (
    run_no BIGINT, experiment_no BIGINT, key VARCHAR, json VARCHAR, number DOUBLE, reason VARCHAR,
    changed_at BIGINT, writer_id VARCHAR, from_position BIGINT, to_position BIGINT
);

-- A file by reference has a uri, and a digest and size only where they are known.
CREATE TABLE store.artifacts (
    run_no BIGINT, name VARCHAR, sha256 VARCHAR, nbytes BIGINT, uri VARCHAR, replaces VARCHAR,
    changed_at BIGINT, writer_id VARCHAR, from_position BIGINT, to_position BIGINT
);
-- The content that the name had then was given up.
CREATE TABLE store.prunings (
    run_no BIGINT, name VARCHAR, sha256 VARCHAR, pruned_at BIGINT, writer_id VARCHAR,
    position BIGINT
);
-- The surroundings of runs, as JSON, and what lists show of them.
CREATE TABLE store.environments (
    run_no BIGINT, environment VARCHAR, script VARCHAR, git_commit VARCHAR, changed_at BIGINT, writer_id VARCHAR,
    from_position BIGINT, to_position BIGINT
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
CREATE TABLE store.alerts (
    run_no BIGINT, title VARCHAR, text VARCHAR, level VARCHAR, alerted_at BIGINT,
    writer_id VARCHAR, position BIGINT
);

-- Each time a view of runs was saved under a name; without a definition, when it was deleted.
CREATE TABLE store.saved_views (
    name VARCHAR, definition VARCHAR, changed_at BIGINT, writer_id VARCHAR, position BIGINT
);

-- Events that cannot be decoded, and that all other tables pass over.
CREATE TABLE store.damaged (
    position BIGINT, stream VARCHAR, version BIGINT, topic VARCHAR, problem VARCHAR
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
-- Replaced by one that leaves out void points as soon as there is a rewind.
CREATE VIEW store.valid_points AS FROM store.metric_points;

-- One row per run and series, of the points that are valid now. `first` and `last` are by position
-- and index, `latest` is the greatest by step, time and value. `numbers` counts the values that are
-- numbers, of which `nonfinite` are NaN or infinite: these have no part in min, max and sum.
-- min_step and max_step are the steps at which min and max were reached first. The positions are
-- those of the first and the last batch: what was said of a series earlier is found by them.
CREATE TABLE store.metric_latest (
    series_no INTEGER, run_no BIGINT, n BIGINT, numbers BIGINT, nonfinite BIGINT, first DOUBLE,
    last DOUBLE, last_text VARCHAR, last_type UTINYINT, latest DOUBLE, latest_step BIGINT,
    latest_time BIGINT, min DOUBLE, max DOUBLE, min_step BIGINT, max_step BIGINT, sum DOUBLE,
    first_step BIGINT, last_step BIGINT, first_time BIGINT, last_time BIGINT,
    first_position BIGINT, last_position BIGINT
);

-- observed_at is NULL where it is recorded_at, and actor where it is that of the writer.
CREATE TABLE store.events (
    position BIGINT, stream VARCHAR, version BIGINT, topic VARCHAR, recorded_at BIGINT,
    observed_at BIGINT, writer_id VARCHAR, actor VARCHAR, reason VARCHAR
);
