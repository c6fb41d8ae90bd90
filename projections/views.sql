-- The views that users query: now, or as of a position. `views.py` puts conditions in the place of
--   HOLDS(t)   the temporal row t holds then
--   KNOWN(t)   the row t, which never changes, is there then
--   BEGAN(t)   the temporal row t has begun by then
--   UNTIL(x)   the position x, if it is not later
--   RUN_OF(x)  the run that the stream x belongs to
--   RUNS       `store.runs`, with the places in their trees that they had then
--   POINTS     `store.metric_points` without those that were void then
--   LATEST     `store.metric_latest` as it was then
--   ACTORS     who made a change, where it was not the user of its writer, by position
--   WORST      the list of all statuses, the worst first
--   SUBTREES   runs, once for each run in whose subtree they are (`top_no`), their own included

CREATE VIEW experiments AS
SELECT e.experiment_id, s.name, make_timestamptz(e.created_at) AS created_at,
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
       CASE WHEN s.started_at IS NOT NULL AND s.running_since IS NULL THEN s.ran_us / 1e6 END
           AS duration_s,
       r.parent_id, r.root_id, r.depth, s.description, s.error,
       coalesce(a.actor, w.actor) AS actor, w.host, r.erased,
       make_timestamptz(coalesce(s.ended_at, s.last_ended_at)) AS last_ended_at,
       s.before_loss IS NOT NULL AS lost,
       make_timestamptz(s.archived_at) AS archived_at,
       make_timestamptz(r.given_at) AS given_at, r.given_user,
       s.error->>'$.code' AS error_code, s.error->>'$.message' AS error_message,
       coalesce(a.actor, w.actor) AS user, v.script,
       coalesce(v.git_commit, r.git_commit) AS git_commit
FROM RUNS r
JOIN store.experiment_states e ON e.experiment_no = r.experiment_no AND HOLDS(e)
JOIN store.run_states s ON s.run_no = r.run_no AND HOLDS(s)
LEFT JOIN store.writers w ON w.writer_id = r.writer_id AND KNOWN(w)
LEFT JOIN ACTORS a ON a.position = r.position
LEFT JOIN store.environments v ON v.run_no = r.run_no AND HOLDS(v)
WHERE KNOWN(r);

CREATE VIEW experiment_tags AS
SELECT s.experiment_id, s.name AS experiment, t.key, t.value,
       make_timestamptz(t.changed_at) AS set_at, coalesce(a.actor, w.actor) AS set_by
FROM store.experiment_tags t
JOIN store.experiment_states s ON s.experiment_no = t.experiment_no AND HOLDS(s)
LEFT JOIN store.writers w ON w.writer_id = t.writer_id AND KNOWN(w)
LEFT JOIN ACTORS a ON a.position = t.from_position
WHERE HOLDS(t);

CREATE VIEW tags AS
SELECT r.run_id, t.key, t.value, make_timestamptz(t.changed_at) AS set_at,
       coalesce(a.actor, w.actor) AS set_by
FROM store.run_tags t
JOIN store.runs r ON r.run_no = t.run_no
LEFT JOIN store.writers w ON w.writer_id = t.writer_id AND KNOWN(w)
LEFT JOIN ACTORS a ON a.position = t.from_position
WHERE HOLDS(t);

CREATE VIEW properties AS
SELECT r.run_id, t.key, t.value, make_timestamptz(t.changed_at) AS set_at,
       coalesce(a.actor, w.actor) AS set_by, t.reason
FROM store.run_properties t
JOIN store.runs r ON r.run_no = t.run_no
LEFT JOIN store.writers w ON w.writer_id = t.writer_id AND KNOWN(w)
LEFT JOIN ACTORS a ON a.position = t.from_position
WHERE HOLDS(t);

CREATE VIEW config AS
SELECT r.run_id, t.key, CASE WHEN starts_with(t.json, '"') THEN t.json->>'$' ELSE t.json END AS value,
       t.number, t.json, make_timestamptz(t.changed_at) AS set_at,
       coalesce(a.actor, w.actor) AS set_by, t.reason
FROM store.run_config t
JOIN store.runs r ON r.run_no = t.run_no
LEFT JOIN store.writers w ON w.writer_id = t.writer_id AND KNOWN(w)
LEFT JOIN ACTORS a ON a.position = t.from_position
WHERE HOLDS(t);

CREATE VIEW metric_points AS
SELECT r.run_id, s.name AS metric, s.col AS "column", s.kind, p.step,
       make_timestamptz(p.time) AS time, p.value, p.text, substr('fibsn', p.type + 1, 1) AS type,
       p.position, p.idx::BIGINT AS "index",
       coalesce(p.position > e.ended_position, false)
       OR coalesce(len(list_filter(
           h.pauses, lambda pause: p.position > pause.began AND p.position < pause.ended)) > 0,
           false) AS late,
       s.col AS column_name
FROM POINTS p
JOIN store.series s ON s.series_no = p.series_no
JOIN store.runs r ON r.run_no = p.run_no
JOIN store.run_states e ON e.run_no = p.run_no AND HOLDS(e)
LEFT JOIN (
    SELECT q.run_no, list({'began': q.ended_position, 'ended': q.position}) AS pauses
    FROM store.pauses q WHERE KNOWN(q) GROUP BY q.run_no
) h ON h.run_no = p.run_no
WHERE KNOWN(p);

CREATE VIEW metrics AS
SELECT r.run_id, s.name AS metric, s.col AS "column", s.kind, m.n, m.last, m.last_text, m.min,
       m.max,
       CASE WHEN m.numbers > m.nonfinite THEN m.sum / (m.numbers - m.nonfinite) END AS mean,
       m.first_step, m.last_step, make_timestamptz(m.last_time) AS last_time,
       m.first, m.min_step, m.max_step, m.nonfinite AS n_nonfinite,
       m.latest, m.latest_step, make_timestamptz(m.latest_time) AS latest_time,
       s.col AS column_name
FROM LATEST m
JOIN store.series s ON s.series_no = m.series_no
JOIN store.runs r ON r.run_no = m.run_no;

CREATE VIEW run_tree AS
SELECT a.run_id AS ancestor_id, d.run_id, d.depth - a.depth AS distance
FROM RUNS d
JOIN RUNS a ON a.root_no = d.root_no AND starts_with(d.path, a.path) AND a.run_no <> d.run_no
WHERE KNOWN(d);

CREATE VIEW run_rollup AS
SELECT t.run_id, count(*) AS runs, count(*) FILTER (r.depth = t.depth + 1) AS children,
       count(*) FILTER (s.status NOT IN ('Completed', 'Failed', 'Canceled')) AS active,
       count(*) FILTER (s.status = 'Completed') AS completed,
       count(*) FILTER (s.status = 'Failed') AS failed,
       count(*) FILTER (s.status = 'Canceled') AS canceled,
       count(*) FILTER (s.before_loss IS NOT NULL) AS lost,
       to_json(histogram(s.status))::VARCHAR AS statuses,
       WORST[min(list_position(WORST, s.status))] AS worst_status,
       make_timestamptz(min(s.started_at)) AS first_started_at,
       make_timestamptz(max(coalesce(s.ended_at, s.last_ended_at))) AS last_ended_at
FROM SUBTREES r
JOIN RUNS t ON t.run_no = r.top_no
JOIN store.run_states s ON s.run_no = r.run_no AND HOLDS(s)
GROUP BY t.run_no, t.run_id, t.depth;

CREATE VIEW metric_rollup AS
SELECT t.run_id, n.name AS metric, n.col AS column_name, n.kind, count(*) AS runs,
       min(m.min) AS min,
       arg_min(r.run_id, (m.min, -s.begun_at, -r.run_no)) AS min_run_id,
       arg_min(m.min_step, (m.min, -s.begun_at, -r.run_no)) AS min_step,
       max(m.max) AS max,
       arg_max(r.run_id, (m.max, s.begun_at, r.run_no)) AS max_run_id,
       arg_max(m.max_step, (m.max, s.begun_at, r.run_no)) AS max_step
FROM SUBTREES r
JOIN RUNS t ON t.run_no = r.top_no
JOIN store.run_states s ON s.run_no = r.run_no AND HOLDS(s)
JOIN LATEST m ON m.run_no = r.run_no
JOIN store.series n ON n.series_no = m.series_no
WHERE m.min IS NOT NULL
GROUP BY t.run_no, t.run_id, n.series_no, n.name, n.col, n.kind;

CREATE VIEW artifacts AS
SELECT r.run_id, t.name, t.sha256, t.nbytes, t.uri, t.replaces,
       make_timestamptz(t.changed_at) AS set_at, coalesce(a.actor, w.actor) AS set_by,
       make_timestamptz((
           SELECT min(x.pruned_at) FROM store.prunings x
           WHERE x.run_no = t.run_no AND x.name = t.name AND x.position > t.from_position
           AND KNOWN(x)
       )) AS pruned_at
FROM store.artifacts t
JOIN store.runs r ON r.run_no = t.run_no
LEFT JOIN store.writers w ON w.writer_id = t.writer_id AND KNOWN(w)
LEFT JOIN ACTORS a ON a.position = t.from_position
WHERE HOLDS(t);

CREATE VIEW environments AS
SELECT r.run_id, t.environment, make_timestamptz(t.changed_at) AS set_at,
       coalesce(a.actor, w.actor) AS set_by
FROM store.environments t
JOIN store.runs r ON r.run_no = t.run_no
LEFT JOIN store.writers w ON w.writer_id = t.writer_id AND KNOWN(w)
LEFT JOIN ACTORS a ON a.position = t.from_position
WHERE HOLDS(t);

CREATE VIEW alerts AS
SELECT r.run_id, t.level, t.title, t.text, make_timestamptz(t.alerted_at) AS alerted_at,
       coalesce(a.actor, w.actor) AS alerted_by, f.reason AS found_by, t.position
FROM store.alerts t
JOIN store.runs r ON r.run_no = t.run_no
LEFT JOIN store.writers w ON w.writer_id = t.writer_id AND KNOWN(w)
LEFT JOIN ACTORS a ON a.position = t.position
LEFT JOIN (SELECT position, reason FROM store.events WHERE reason IS NOT NULL) f
ON f.position = t.position
WHERE KNOWN(t);

CREATE VIEW losses AS
SELECT r.run_id, t.evidence, make_timestamptz(t.lost_at) AS lost_at,
       coalesce(a.actor, w.actor) AS lost_by, t.position
FROM store.losses t
JOIN store.runs r ON r.run_no = t.run_no
LEFT JOIN store.writers w ON w.writer_id = t.writer_id AND KNOWN(w)
LEFT JOIN ACTORS a ON a.position = t.position
WHERE KNOWN(t);

CREATE VIEW rewinds AS
SELECT r.run_id, t.step, make_timestamptz(t.rewound_at) AS rewound_at,
       coalesce(a.actor, w.actor) AS rewound_by, t.position
FROM store.rewinds t
JOIN store.runs r ON r.run_no = t.run_no
LEFT JOIN store.writers w ON w.writer_id = t.writer_id AND KNOWN(w)
LEFT JOIN ACTORS a ON a.position = t.position
WHERE KNOWN(t);

CREATE VIEW refused_changes AS
SELECT r.run_id, t.change, t.key, t.held, t.refused, t.reason,
       make_timestamptz(t.refused_at) AS refused_at, coalesce(a.actor, w.actor) AS asked_by,
       t.position
FROM store.refusals t
JOIN store.runs r ON r.run_no = t.run_no
LEFT JOIN store.writers w ON w.writer_id = t.writer_id AND KNOWN(w)
LEFT JOIN ACTORS a ON a.position = t.position
WHERE KNOWN(t);

CREATE VIEW tag_history AS
SELECT r.run_id, t.key, t.value, make_timestamptz(t.changed_at) AS set_at,
       coalesce(a.actor, w.actor) AS set_by,
       t.from_position, UNTIL(t.to_position) AS to_position,
       make_timestamptz(coalesce(x.observed_at, x.recorded_at)) AS ended_at,
       coalesce(x.actor, o.actor) AS ended_by,
       x.topic = 'run.tag_removed' AS removed
FROM store.run_tags t
JOIN store.runs r ON r.run_no = t.run_no
LEFT JOIN store.writers w ON w.writer_id = t.writer_id AND KNOWN(w)
LEFT JOIN ACTORS a ON a.position = t.from_position
LEFT JOIN store.events x ON x.position = UNTIL(t.to_position)
LEFT JOIN store.writers o ON o.writer_id = x.writer_id AND KNOWN(o)
WHERE BEGAN(t);

CREATE VIEW property_history AS
SELECT r.run_id, t.key, t.value, make_timestamptz(t.changed_at) AS set_at,
       coalesce(a.actor, w.actor) AS set_by, t.reason, t.from_position,
       UNTIL(t.to_position) AS to_position
FROM store.run_properties t
JOIN store.runs r ON r.run_no = t.run_no
LEFT JOIN store.writers w ON w.writer_id = t.writer_id AND KNOWN(w)
LEFT JOIN ACTORS a ON a.position = t.from_position
WHERE BEGAN(t);

CREATE VIEW config_history AS
SELECT r.run_id, t.key, t.json, make_timestamptz(t.changed_at) AS set_at,
       coalesce(a.actor, w.actor) AS set_by, t.reason, t.from_position,
       UNTIL(t.to_position) AS to_position
FROM store.run_config t
JOIN store.runs r ON r.run_no = t.run_no
LEFT JOIN store.writers w ON w.writer_id = t.writer_id AND KNOWN(w)
LEFT JOIN ACTORS a ON a.position = t.from_position
WHERE BEGAN(t);

CREATE VIEW status_history AS
SELECT r.run_id, s.status, s.status_detail, make_timestamptz(s.changed_at) AS changed_at,
       coalesce(a.actor, w.actor) AS changed_by, s.from_position AS position
FROM store.run_states s
JOIN store.runs r ON r.run_no = s.run_no
LEFT JOIN store.writers w ON w.writer_id = s.writer_id AND KNOWN(w)
LEFT JOIN ACTORS a ON a.position = s.from_position
WHERE s.status_changed AND BEGAN(s);

CREATE VIEW writers AS
SELECT w.writer_id, w.actor, w.host, w.pid, w.process, w.program, w.client_version, w.uid,
       w.machine_id, w.boot_id, make_timestamptz(w.started_at) AS started_at,
       make_timestamptz(w.opened_at) AS opened_at
FROM store.writers w
WHERE KNOWN(w);

CREATE VIEW saved_views AS
SELECT t.name, t.definition, make_timestamptz(t.changed_at) AS set_at,
       coalesce(a.actor, w.actor) AS set_by
FROM (
    FROM store.saved_views v WHERE KNOWN(v)
    QUALIFY row_number() OVER (PARTITION BY v.name ORDER BY v.position DESC) = 1
) t
LEFT JOIN store.writers w ON w.writer_id = t.writer_id AND KNOWN(w)
LEFT JOIN ACTORS a ON a.position = t.position
WHERE t.definition IS NOT NULL;

CREATE VIEW identities AS
SELECT t.workspace_id, t.origin_id, t.note, make_timestamptz(t.since) AS since,
       coalesce(a.actor, w.actor) AS set_by, t.position
FROM store.identities t
LEFT JOIN store.writers w ON w.writer_id = t.writer_id AND KNOWN(w)
LEFT JOIN ACTORS a ON a.position = t.position
WHERE KNOWN(t);

CREATE VIEW events AS
SELECT v.position, v.stream, v.version, v.topic, event_id_at(v.position) AS event_id,
       make_timestamptz(v.recorded_at) AS recorded_at, v.writer_id,
       coalesce(v.actor, w.actor) AS actor, v.reason, RUN_OF(v.stream) AS run_id,
       event_data_at(v.position) AS data,
       make_timestamptz(coalesce(v.observed_at, v.recorded_at)) AS observed_at
FROM store.events v
LEFT JOIN store.writers w ON w.writer_id = v.writer_id AND KNOWN(w)
WHERE KNOWN(v);

CREATE VIEW damaged AS
SELECT t.position, RUN_OF(t.stream) AS run_id, t.stream, t.version, t.topic, t.problem
FROM store.damaged t
WHERE KNOWN(t);
