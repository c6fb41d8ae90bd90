"""The tables of `schema.sql` as Arrow schemas, and how a batch of facts is written to them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from runlore.domain.fact import Fact
from runlore.projections.latest import add_to_latest
from runlore.projections.points import names_of, points_of
from runlore.projections.runs_fold import Known, RunKey, State, mentioned, rows_of
from runlore.projections.segment_files import Bounds
from runlore.projections.segments import add_points
from runlore.projections.temporal import TemporalTable, insert, with_table

_INT, _TEXT, _BOOL = pa.int64(), pa.string(), pa.bool_()
_SPAN: Final = {"from_position": _INT, "to_position": _INT}
_VALUE: Final = {"key": _TEXT, "value": _TEXT, "changed_at": _INT, "writer_id": _TEXT, **_SPAN}

_WRITERS: Final = pa.schema(
    {
        "writer_id": _TEXT,
        "actor": _TEXT,
        "host": _TEXT,
        "pid": _INT,
        "process": _TEXT,
        "client_version": _TEXT,
        "opened_at": _INT,
        "position": _INT,
    }
)
_EXPERIMENTS: Final = pa.schema(
    {
        "experiment_no": _INT,
        "experiment_id": _TEXT,
        "name": _TEXT,
        "created_at": _INT,
        "position": _INT,
    }
)
_RUNS: Final = pa.schema(
    {
        "run_no": _INT,
        "run_id": _TEXT,
        "experiment_no": _INT,
        "number": _INT,
        "parent_no": _INT,
        "parent_id": _TEXT,
        "root_no": _INT,
        "root_id": _TEXT,
        "depth": _INT,
        "path": _TEXT,
        "run_type": _TEXT,
        "target": _TEXT,
        "name": _TEXT,
        "created_at": _INT,
        "writer_id": _TEXT,
        "position": _INT,
    }
)
_SUBMISSIONS: Final = pa.schema(
    {"run_no": _INT, "definition": _TEXT, "repeats": _TEXT, "position": _INT}
)
_SNAPSHOTS: Final = pa.schema(
    {
        "run_no": _INT,
        "snapshot_id": _TEXT,
        "manifest_sha256": _TEXT,
        "files": _INT,
        "nbytes": _INT,
        "taken_at": _INT,
        "writer_id": _TEXT,
        "position": _INT,
    }
)
_REFUSALS: Final = pa.schema(
    {
        "run_no": _INT,
        "change": _TEXT,
        "key": _TEXT,
        "held": _TEXT,
        "refused": _TEXT,
        "reason": _TEXT,
        "refused_at": _INT,
        "writer_id": _TEXT,
        "position": _INT,
    }
)
_EVENTS: Final = pa.schema(
    {
        "position": _INT,
        "stream": _TEXT,
        "version": _INT,
        "topic": _TEXT,
        "event_id": _TEXT,
        "recorded_at": _INT,
        "writer_id": _TEXT,
        "reason": _TEXT,
        "run_id": _TEXT,
        "data": _TEXT,
    }
)
_SERIES: Final = pa.schema({"series_no": pa.int32(), "name": _TEXT, "col": _TEXT, "kind": _TEXT})

_EXPERIMENT_STATES: Final = TemporalTable(
    "store.experiment_states",
    ["experiment_no"],
    pa.schema({"experiment_no": _INT, "archived_at": _INT, **_SPAN}),
)
_EXPERIMENT_TAGS: Final = TemporalTable(
    "store.experiment_tags",
    ["experiment_no", "key"],
    pa.schema({"experiment_no": _INT, **_VALUE}),
)
_RUN_STATES: Final = TemporalTable(
    "store.run_states",
    ["run_no"],
    pa.schema(
        {
            "run_no": _INT,
            "status": _TEXT,
            "status_detail": _TEXT,
            "started_at": _INT,
            "ended_at": _INT,
            "ended_position": _INT,
            "display_name": _TEXT,
            "description": _TEXT,
            "error": _TEXT,
            "status_changed": _BOOL,
            "changed_at": _INT,
            "writer_id": _TEXT,
            **_SPAN,
        }
    ),
)
_RUN_TAGS: Final = TemporalTable(
    "store.run_tags", ["run_no", "key"], pa.schema({"run_no": _INT, **_VALUE})
)
_RUN_PROPERTIES: Final = TemporalTable(
    "store.run_properties", ["run_no", "key"], pa.schema({"run_no": _INT, **_VALUE})
)
_ARTIFACTS: Final = TemporalTable(
    "store.artifacts",
    ["run_no", "name"],
    pa.schema(
        {
            "run_no": _INT,
            "name": _TEXT,
            "sha256": _TEXT,
            "nbytes": _INT,
            "changed_at": _INT,
            "writer_id": _TEXT,
            **_SPAN,
        }
    ),
)


def write_batch(
    facts: Sequence[Fact],
    connection: duckdb.DuckDBPyConnection,
    segments: Path | None,
    bounds: Bounds,
) -> bool:
    """Adds what the facts say to all tables, and returns whether points were sealed for it."""
    rows = rows_of(facts, _known(facts, connection))
    insert(connection, "store.writers", rows.writers, _WRITERS)
    insert(connection, "store.experiments", rows.experiments, _EXPERIMENTS)
    insert(connection, "store.runs", rows.runs, _RUNS)
    insert(connection, "store.submissions", rows.submissions, _SUBMISSIONS)
    insert(connection, "store.snapshots", rows.snapshots, _SNAPSHOTS)
    insert(connection, "store.refusals", rows.refusals, _REFUSALS)
    insert(connection, "store.events", rows.events, _EVENTS)
    _EXPERIMENT_STATES.write(connection, rows.experiment_states)
    _EXPERIMENT_TAGS.write(connection, rows.experiment_tags)
    _RUN_STATES.write(connection, rows.run_states)
    _RUN_TAGS.write(connection, rows.run_tags)
    _RUN_PROPERTIES.write_once(connection, rows.run_properties)
    _ARTIFACTS.write(connection, rows.artifacts)
    return bool(rows.batches) and _add_points(connection, rows.batches, segments, bounds)


def _known(facts: Sequence[Fact], connection: duckdb.DuckDBPyConnection) -> Known:
    """What the tables hold about the runs and experiments that the facts mention."""
    known = Known()
    run_ids, experiment_ids = mentioned(facts)
    for run_id, run_no, root_no, root_id, depth, path, *state in _about(
        connection, _KNOWN_RUNS, run_ids
    ):
        known.runs[run_id] = RunKey(run_no, root_no, root_id, depth, path)
        known.states[run_no] = State(*state)
    for experiment_id, experiment_no, last_number in _about(
        connection, _KNOWN_EXPERIMENTS, experiment_ids
    ):
        known.experiments[experiment_id] = experiment_no
        known.numbers[experiment_no] = last_number
    if experiment_ids:  # Nothing is created without naming an experiment.
        counts = connection.execute(_COUNTS).fetchall()
        known.run_count, known.experiment_count = counts[0]
    return known


_KNOWN_RUNS: Final = (
    "SELECT r.run_id, r.run_no, r.root_no, r.root_id, r.depth, r.path, s.status, "
    "s.status_detail, s.started_at, s.ended_at, s.ended_position, s.display_name, "
    "s.description, s.error "
    "FROM store.runs r SEMI JOIN wanted w ON w.id = r.run_id "
    "JOIN store.run_states s ON s.run_no = r.run_no AND s.to_position IS NULL"
)
_KNOWN_EXPERIMENTS: Final = (
    "SELECT e.experiment_id, e.experiment_no, coalesce(n.last, 0) "
    "FROM store.experiments e SEMI JOIN wanted w ON w.id = e.experiment_id "
    "LEFT JOIN (SELECT experiment_no, max(number) AS last FROM store.runs GROUP BY experiment_no) "
    "n USING (experiment_no)"
)
_COUNTS: Final = (
    "SELECT (SELECT coalesce(max(run_no), 0) FROM store.runs), "
    "(SELECT coalesce(max(experiment_no), 0) FROM store.experiments)"
)


def _about(
    connection: duckdb.DuckDBPyConnection, query: str, ids: Collection[str]
) -> list[tuple[Any, ...]]:
    """What a query says about the table `wanted`, which holds the ids."""
    if not ids:
        return []
    with_table(connection, "wanted", pa.table({"id": pa.array(sorted(ids), _TEXT)}))
    rows: list[tuple[Any, ...]] = connection.execute(query).fetchall()
    connection.unregister("wanted")
    return rows


def _add_points(
    connection: duckdb.DuckDBPyConnection,
    batches: Sequence[tuple[int, Fact]],
    segments: Path | None,
    bounds: Bounds,
) -> bool:
    held = connection.execute("SELECT name, col, kind, series_no FROM store.series").fetchall()
    numbers = {(name, col, kind): number for name, col, kind, number in held}
    sealed = False
    for points in points_of(batches, numbers):
        add_to_latest(connection, points)
        sealed |= add_points(connection, points.table(), segments, bounds)
    insert(connection, "store.series", names_of(numbers, len(held)), _SERIES)
    return sealed
