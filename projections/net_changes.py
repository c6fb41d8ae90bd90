"""The net changes between two positions, from the temporal tables: a row per thing that differs.

A thing that was changed and changed back does not differ. Its history lists the events in between;
a row here has only the last event that led to the new value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from runlore.projections.conditions import Conditions
from runlore.projections.curves import restored_value
from runlore.projections.driver import duckdb
from runlore.projections.metric_summaries_as_of import latest_as_of


class MetricSummary(NamedTuple):
    """The number of values of a metric, or of a table's column, and the last of them."""

    n: int
    last: Any


class NetChangeRow(NamedTuple):
    """A thing that differs; `had` and `has` say whether it existed at the two positions."""

    what: str
    experiment: str
    experiment_id: str
    run_id: str | None
    key: str | None
    had: bool
    has: bool
    old: Any
    new: Any
    position: int
    observed_at: int
    writer_id: str | None
    actor: str | None
    reason: str | None


_ARCHIVED: Final = "CASE WHEN t.archived_at IS NULL THEN 'active' ELSE 'archived' END"
_TABLES: Final = (
    ("experiment_tag", "store.experiment_tags", "experiment_no", "t.key", "t.value"),
    ("tag", "store.run_tags", "run_no", "t.key", "t.value"),
    ("property", "store.run_properties", "run_no", "t.key", "t.value"),
    ("config", "store.run_config", "run_no", "t.key", "t.json"),
    ("artifact", "store.artifacts", "run_no", "t.name", "coalesce(t.sha256, t.uri)"),
)
"""Kind of thing, its table, the owner column, and the expressions for key and value."""

_STATES: Final = ("store.run_states", "run_no")
_EXPERIMENTS: Final = ("store.experiment_states", "experiment_no")
_COLUMNS: Final = (
    ("experiment", *_EXPERIMENTS, _ARCHIVED, "true"),
    ("experiment_name", *_EXPERIMENTS, "t.name", "old IS NOT NULL"),
    ("status", *_STATES, "t.status", "true"),
    ("display_name", *_STATES, "t.display_name", "true"),
    ("description", *_STATES, "t.description", "true"),
    ("archive", *_STATES, _ARCHIVED, "'archived' IN (old, new)"),
)
"""Kind, table, owner column, value, and which differences are of interest.

Rows of these tables also begin when another column changes.
"""

# In a row: did it hold at the first position, does it at the second. Those that did at both are
# passed over; each of the others began or ended in between, and the last such event is `position`.
_TOUCHED: Final = """
t.from_position <= {b:d} AND (t.to_position IS NULL OR t.to_position > {a:d})
AND (t.from_position > {a:d} OR t.to_position <= {b:d})
"""
_OF_TABLE: Final = """
SELECT '{what}' AS what, t.{owner} AS owner, {key} AS key,
       bool_or({held_a}) AS had, bool_or({held_b}) AS has,
       any_value({value}) FILTER ({held_a}) AS old, any_value({value}) FILTER ({held_b}) AS new,
       max(CASE WHEN t.to_position <= {b:d} THEN t.to_position ELSE t.from_position END) AS position
FROM {table} t WHERE {touched}
GROUP BY ALL
HAVING had <> has OR old IS DISTINCT FROM new
"""
_OF_COLUMN: Final = """
SELECT '{what}' AS what, owner, NULL AS key, old IS NOT NULL AS had, new IS NOT NULL AS has,
       old, new, position
FROM (
    SELECT owner, any_value(value) FILTER (was) AS old, any_value(value) FILTER (now) AS new,
           max(from_position) FILTER (from_position > {a:d} AND value IS DISTINCT FROM before)
           AS position
    FROM (
        SELECT t.{owner} AS owner, {value} AS value, t.from_position,
               {held_a} AS was, {held_b} AS now,
               lag({value}) OVER (PARTITION BY t.{owner} ORDER BY t.from_position) AS before
        FROM {table} t WHERE {touched}
    )
    GROUP BY owner
)
WHERE old IS DISTINCT FROM new AND {wanted}
"""
_OF_RUNS: Final = """
SELECT 'run' AS what, t.run_no AS owner, NULL AS key, false AS had, true AS has,
       NULL::VARCHAR AS old, NULL::VARCHAR AS new, t.position
FROM store.runs t WHERE t.position > {a:d} AND t.position <= {b:d} {narrowed}
"""
_OF_METRICS: Final = """
SELECT s.name || CASE s.col WHEN '' THEN '' ELSE '.' || s.col END AS key, m.run_no AS owner,
       w.n AS old_n, w.last, w.last_text, w.last_type, m.n, m.last, m.last_text, m.last_type,
       m.last_position AS position
FROM {now} m
LEFT JOIN {was} w ON w.series_no = m.series_no AND w.run_no = m.run_no
JOIN store.series s ON s.series_no = m.series_no
WHERE m.last_position > {a:d} AND {of_run}
"""
# Of runs that went back in between: they may have other values without having logged any.
_OF_REWOUND: Final = """
UNION ALL
SELECT s.name || CASE s.col WHEN '' THEN '' ELSE '.' || s.col END AS key, run_no AS owner,
       w.n AS old_n, w.last, w.last_text, w.last_type, m.n, m.last, m.last_text, m.last_type,
       greatest(z.position, m.last_position) AS position
FROM (FROM {now} WHERE run_no IN ({runs})) m
FULL JOIN (FROM {was} WHERE run_no IN ({runs})) w USING (series_no, run_no)
JOIN (
    SELECT run_no, max(position) AS position FROM store.rewinds
    WHERE position > {a:d} AND position <= {b:d} GROUP BY run_no
) z USING (run_no)
JOIN store.series s USING (series_no)
WHERE (w.n, w.last, w.last_text, w.last_type)
    IS DISTINCT FROM (m.n, m.last, m.last_text, m.last_type)
"""
# Whose a row is, and which event made it so.
_TOLD: Final = """
SELECT d.*, e.name, e.experiment_id, r.run_id, coalesce(x.observed_at, x.recorded_at), x.writer_id,
       x.actor, x.reason
FROM ({found}) d
LEFT JOIN store.runs r ON d.of_run AND r.run_no = d.owner
LEFT JOIN store.experiment_states e
    ON e.experiment_no = CASE WHEN d.of_run THEN r.experiment_no ELSE d.owner END AND {named}
LEFT JOIN store.events x ON x.position = d.position
"""


def net_changes(
    connection: duckdb.DuckDBPyConnection, a: int, b: int, run_no: int | None
) -> list[NetChangeRow]:
    """The net changes from position `a` to `b`, in order of position; of one run or of all."""
    rows = [*_of_tables(connection, a, b, run_no), *_of_metrics(connection, a, b, run_no)]
    order = {what: place for place, what in enumerate(_ORDER)}
    return sorted(rows, key=lambda row: (row.position, order[row.what], row.run_id or "", row.key))


_ORDER: Final = (
    *("experiment", "experiment_name", "experiment_tag"),
    *("run", "status", "archive", "display_name", "description"),
    *("tag", "property", "config", "artifact", "metric"),
)


def _of_tables(
    connection: duckdb.DuckDBPyConnection, a: int, b: int, run_no: int | None
) -> Iterator[NetChangeRow]:
    held = {"held_a": Conditions(a).current("t"), "held_b": Conditions(b).current("t")}
    narrowed = "" if run_no is None else f"AND t.run_no = {run_no:d}"
    touched = _TOUCHED.format(a=a, b=b) + narrowed
    found = [
        _OF_TABLE.format(
            what=what, table=table, owner=owner, key=key, value=value, b=b, touched=touched, **held
        )
        for what, table, owner, key, value in _TABLES
        if owner == "run_no" or run_no is None
    ]
    found += [
        _OF_COLUMN.format(
            what=what,
            table=table,
            owner=owner,
            value=value,
            wanted=wanted,
            a=a,
            touched=touched,
            **held,
        )
        for what, table, owner, value, wanted in _COLUMNS
        if owner == "run_no" or run_no is None
    ]
    found.append(_OF_RUNS.format(a=a, b=b, narrowed=narrowed))
    of_run = "NOT starts_with(what, 'experiment') AS of_run"
    every = f"SELECT *, {of_run} FROM ({' UNION ALL '.join(found)})"
    named = Conditions(b).current("e")
    for row in connection.execute(_TOLD.format(found=every, named=named)).fetchall():
        what, _, key, had, has, old, new, position, _, *told = row
        name, experiment_id, run_id, at, by, actor, reason = told
        whose, event = (name, experiment_id, run_id), (position, at, by, actor, reason)
        yield NetChangeRow(what, *whose, key, had, has, old, new, *event)


def _of_metrics(
    connection: duckdb.DuckDBPyConnection, a: int, b: int, run_no: int | None
) -> Iterator[NetChangeRow]:
    only = "true" if run_no is None else f"run_no = {run_no:d}"
    with (
        latest_as_of(connection, b, only=only, name="latest_b") as now,
        latest_as_of(connection, a, only=only, name="latest_a") as was,
    ):
        of_run = "true" if run_no is None else f"m.{only}"
        rewound = _rewound_between(connection, a, b, only)
        if rewound:
            of_run += f" AND m.run_no NOT IN ({rewound})"
        found = _OF_METRICS.format(a=a, now=now, was=was, of_run=of_run)
        if rewound:
            found += _OF_REWOUND.format(a=a, b=b, now=now, was=was, runs=rewound)
        named = Conditions(b).current("e")
        query = _TOLD.format(found=f"SELECT *, true AS of_run FROM ({found})", named=named)
        rows = connection.execute(query).fetchall()
    for (
        key,
        _,
        n_a,
        *lasts,
        position,
        _,
        name,
        experiment_id,
        run_id,
        at,
        by,
        actor,
        reason,
    ) in rows:
        old = None if n_a is None else MetricSummary(n_a, restored_value(*lasts[:3]))
        new = None if lasts[3] is None else MetricSummary(lasts[3], restored_value(*lasts[4:]))
        whose, event = (name, experiment_id, run_id), (position, at, by, actor, reason)
        yield NetChangeRow(
            "metric", *whose, key, old is not None, new is not None, old, new, *event
        )


def _rewound_between(connection: duckdb.DuckDBPyConnection, a: int, b: int, only: str) -> str:
    """The numbers of the runs that went back to a step after `a` and up to `b`, as SQL."""
    rows = connection.execute(
        "SELECT DISTINCT run_no FROM store.rewinds "
        f"WHERE position > {a:d} AND position <= {b:d} AND {only} ORDER BY run_no"
    ).fetchall()
    return ", ".join(str(run_no) for (run_no,) in rows)
