-- The views that users query: now, or as of a position. `views.py` puts conditions in the place of
--   HOLDS(t)   the temporal row t holds then
--   KNOWN(t)   the row t, which never changes, is there then
--   BEGAN(t)   the temporal row t has begun by then
--   UNTIL(x)   the position x, if it is not later
--   RUNS       `store.runs`, with the places in their trees that they had then
--   LATEST     `store.metric_latest` as it was then

CREATE VIEW experiments AS
SELECT e.experiment_id, e.name, make_timestamptz(e.created_at) AS created_at,
       make_timestamptz(s.archived_at) AS archived_at,
       (SELECT count(*) FROM store.runs r
        WHERE r.experiment_no = e.experiment_no AND KNOWN(r)) AS run_count
FROM store.experiments e
JOIN store.experiment_states s ON s.experiment_no = e.experiment_no AND HOLDS(s)
WHERE KNOWN(e);

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
FROM RUNS r
JOIN store.experiments e ON e.experiment_no = r.experiment_no
JOIN store.run_states s ON s.run_no = r.run_no AND HOLDS(s)
LEFT JOIN store.writers w ON w.writer_id = r.writer_id AND KNOWN(w)
WHERE KNOWN(r);

CREATE VIEW tags AS
SELECT r.run_id, t.key, t.value, make_timestamptz(t.changed_at) AS set_at, w.actor AS set_by
FROM store.run_tags t
JOIN store.runs r ON r.run_no = t.run_no
LEFT JOIN store.writers w ON w.writer_id = t.writer_id AND KNOWN(w)
WHERE HOLDS(t);

CREATE VIEW properties AS
SELECT r.run_id, t.key, t.value, make_timestamptz(t.changed_at) AS set_at, w.actor AS set_by,
       t.reason
FROM store.run_properties t
JOIN store.runs r ON r.run_no = t.run_no
LEFT JOIN store.writers w ON w.writer_id = t.writer_id AND KNOWN(w)
WHERE HOLDS(t);

CREATE VIEW metric_points AS
SELECT r.run_id, s.name AS metric, s.col AS "column", s.kind, p.step,
       make_timestamptz(p.time) AS time, p.value, p.text, substr('fibsn', p.type + 1, 1) AS type,
       p.position, p.idx::BIGINT AS "index",
       coalesce(p.position > e.ended_position, false) AS late
FROM store.metric_points p
JOIN store.series s ON s.series_no = p.series_no
JOIN store.runs r ON r.run_no = p.run_no
JOIN store.run_states e ON e.run_no = p.run_no AND HOLDS(e)
WHERE KNOWN(p);

CREATE VIEW metrics AS
SELECT r.run_id, s.name AS metric, s.col AS "column", s.kind, m.n, m.last, m.last_text, m.min,
       m.max, CASE WHEN m.numbers > 0 THEN m.sum / m.numbers END AS mean,
       m.first_step, m.last_step, make_timestamptz(m.last_time) AS last_time
FROM LATEST m
JOIN store.series s ON s.series_no = m.series_no
JOIN store.runs r ON r.run_no = m.run_no;

CREATE VIEW run_tree AS
SELECT a.run_id AS ancestor_id, d.run_id, d.depth - a.depth AS distance
FROM RUNS d
JOIN RUNS a ON a.root_no = d.root_no AND starts_with(d.path, a.path) AND a.run_no <> d.run_no
WHERE KNOWN(d);

CREATE VIEW tag_history AS
SELECT r.run_id, t.key, t.value, make_timestamptz(t.changed_at) AS set_at, w.actor AS set_by,
       t.from_position, UNTIL(t.to_position) AS to_position,
       make_timestamptz(x.recorded_at) AS ended_at, o.actor AS ended_by,
       x.topic = 'run.tag_removed' AS removed
FROM store.run_tags t
JOIN store.runs r ON r.run_no = t.run_no
LEFT JOIN store.writers w ON w.writer_id = t.writer_id AND KNOWN(w)
LEFT JOIN store.events x ON x.position = UNTIL(t.to_position)
LEFT JOIN store.writers o ON o.writer_id = x.writer_id AND KNOWN(o)
WHERE BEGAN(t);

CREATE VIEW property_history AS
SELECT r.run_id, t.key, t.value, make_timestamptz(t.changed_at) AS set_at, w.actor AS set_by,
       t.reason, t.from_position, UNTIL(t.to_position) AS to_position
FROM store.run_properties t
JOIN store.runs r ON r.run_no = t.run_no
LEFT JOIN store.writers w ON w.writer_id = t.writer_id AND KNOWN(w)
WHERE BEGAN(t);

CREATE VIEW status_history AS
SELECT r.run_id, s.status, s.status_detail, make_timestamptz(s.changed_at) AS changed_at,
       w.actor AS changed_by, s.from_position AS position
FROM store.run_states s
JOIN store.runs r ON r.run_no = s.run_no
LEFT JOIN store.writers w ON w.writer_id = s.writer_id AND KNOWN(w)
WHERE s.status_changed AND BEGAN(s);

CREATE VIEW events AS
SELECT v.position, v.stream, v.version, v.topic, event_id_at(v.position) AS event_id,
       make_timestamptz(v.recorded_at) AS recorded_at, v.writer_id, w.actor, v.reason,
       CASE WHEN starts_with(v.stream, 'run/') THEN split_part(v.stream, '/', 2) END AS run_id,
       event_data_at(v.position) AS data
FROM store.events v
LEFT JOIN store.writers w ON w.writer_id = v.writer_id AND KNOWN(w)
WHERE KNOWN(v);
