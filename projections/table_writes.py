"""The tables of `schema.sql` by their columns, and how a batch of facts is written to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from runlore.domain.fact import Fact
from runlore.projections.batch_context import BatchContext
from runlore.projections.batch_rows import Move
from runlore.projections.driver import duckdb
from runlore.projections.fold import rows_of
from runlore.projections.metric_summaries_as_of import sum_up_again
from runlore.projections.rewinds import show_valid_points
from runlore.projections.segment_files import Bounds
from runlore.projections.temporal import (
    TemporalTable,
    Write,
    insert,
    insertion,
    insertion_of_columns,
)
from runlore.storage.damage import DamagedEvent

AddValues = Callable[[Sequence[tuple[int, Fact]], duckdb.DuckDBPyConnection], None]

_INT, _TEXT, _BOOL, _REAL = "int64", "string", "bool", "double"
_SPAN: Final = {"from_position": _INT, "to_position": _INT}
_CHANGED: Final = {"changed_at": _INT, "writer_id": _TEXT, **_SPAN}
_VALUE: Final = {"key": _TEXT, "value": _TEXT, **_CHANGED}

_IDENTITIES: Final = {
    "workspace_id": _TEXT,
    "origin_id": _TEXT,
    "note": _TEXT,
    "since": _INT,
    "writer_id": _TEXT,
    "position": _INT,
}
_WRITERS: Final = {
    "writer_id": _TEXT,
    "actor": _TEXT,
    "host": _TEXT,
    "pid": _INT,
    "process": _TEXT,
    "client_version": _TEXT,
    "boot_id": _TEXT,
    "started_at": _INT,
    "uid": _INT,
    "machine_id": _TEXT,
    "program": _TEXT,
    "opened_at": _INT,
    "position": _INT,
}
_EXPERIMENTS: Final = {
    "experiment_no": _INT,
    "experiment_id": _TEXT,
    "created_at": _INT,
    "position": _INT,
}
_RUNS: Final = {
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
    "given_at": _INT,
    "given_user": _TEXT,
    "git_commit": _TEXT,
    "created_at": _INT,
    "writer_id": _TEXT,
    "position": _INT,
    "erased": _BOOL,
    "awaited_id": _TEXT,
    "attached_position": _INT,
}
_SUBMISSIONS: Final = {"run_no": _INT, "definition": _TEXT, "repeats": _TEXT, "position": _INT}
_SNAPSHOTS: Final = {
    "run_no": _INT,
    "snapshot_id": _TEXT,
    "manifest_sha256": _TEXT,
    "files": _INT,
    "nbytes": _INT,
    "taken_at": _INT,
    "writer_id": _TEXT,
    "position": _INT,
}
_REFUSALS: Final = {
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
_WARNINGS: Final = {
    "run_no": _INT,
    "source": _TEXT,
    "message": _TEXT,
    "warned_at": _INT,
    "writer_id": _TEXT,
    "position": _INT,
}
_ALERTS: Final = {
    "run_no": _INT,
    "title": _TEXT,
    "text": _TEXT,
    "level": _TEXT,
    "alerted_at": _INT,
    "writer_id": _TEXT,
    "position": _INT,
}
_PAUSES: Final = {"run_no": _INT, "ended_position": _INT, "position": _INT}
_LOSSES: Final = {
    "run_no": _INT,
    "evidence": _TEXT,
    "lost_at": _INT,
    "writer_id": _TEXT,
    "position": _INT,
}
_REWINDS: Final = {
    "run_no": _INT,
    "step": _INT,
    "rewound_at": _INT,
    "writer_id": _TEXT,
    "position": _INT,
}
_PRUNINGS: Final = {
    "run_no": _INT,
    "name": _TEXT,
    "sha256": _TEXT,
    "pruned_at": _INT,
    "writer_id": _TEXT,
    "position": _INT,
}
_SAVED_VIEWS: Final = {
    "name": _TEXT,
    "definition": _TEXT,
    "changed_at": _INT,
    "writer_id": _TEXT,
    "position": _INT,
}
_DAMAGED: Final = {
    "position": _INT,
    "stream": _TEXT,
    "version": _INT,
    "topic": _TEXT,
    "problem": _TEXT,
}
_EVENTS: Final = {
    "position": _INT,
    "stream": _TEXT,
    "version": _INT,
    "topic": _TEXT,
    "recorded_at": _INT,
    "observed_at": _INT,
    "writer_id": _TEXT,
    "actor": _TEXT,
    "reason": _TEXT,
}
_SERIES: Final = {"series_no": "int32", "name": _TEXT, "col": _TEXT, "kind": _TEXT}

_EXPERIMENT_STATES: Final = TemporalTable(
    "store.experiment_states",
    ["experiment_no"],
    {
        "experiment_no": _INT,
        "experiment_id": _TEXT,
        "name": _TEXT,
        "archived_at": _INT,
        **_SPAN,
    },
)
_EXPERIMENT_TAGS: Final = TemporalTable(
    "store.experiment_tags",
    ["experiment_no", "key"],
    {"experiment_no": _INT, **_VALUE},
)
_RUN_STATES: Final = TemporalTable(
    "store.run_states",
    ["run_no"],
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
        "begun_at": _INT,
        "last_ended_at": _INT,
        "running_since": _INT,
        "ran_us": _INT,
        "archived_at": _INT,
        "before_loss": _TEXT,
        "status_changed": _BOOL,
        **_CHANGED,
    },
)
_RUN_TAGS: Final = TemporalTable(
    "store.run_tags",
    ["run_no", "key"],
    {"run_no": _INT, "experiment_no": _INT, **_VALUE},
)
_RUN_PROPERTIES: Final = TemporalTable(
    "store.run_properties",
    ["run_no", "key"],
    {
        "run_no": _INT,
        "experiment_no": _INT,
        "key": _TEXT,
        "value": _TEXT,
        "reason": _TEXT,
        **_CHANGED,
    },
)
_RUN_CONFIG: Final = TemporalTable(
    "store.run_config",
    ["run_no", "key"],
    {
        "run_no": _INT,
        "experiment_no": _INT,
        "key": _TEXT,
        "json": _TEXT,
        "number": _REAL,
        "reason": _TEXT,
        **_CHANGED,
    },
)
_ARTIFACTS: Final = TemporalTable(
    "store.artifacts",
    ["run_no", "name"],
    {
        "run_no": _INT,
        "name": _TEXT,
        "sha256": _TEXT,
        "nbytes": _INT,
        "uri": _TEXT,
        "replaces": _TEXT,
        **_CHANGED,
    },
)
_ENVIRONMENTS: Final = TemporalTable(
    "store.environments",
    ["run_no"],
    {
        "run_no": _INT,
        "environment": _TEXT,
        "script": _TEXT,
        "git_commit": _TEXT,
        **_CHANGED,
    },
)


def prepared_batch(
    facts: Sequence[Fact], known: BatchContext, add_values: AddValues
) -> list[Write]:
    """The writes that add the facts to all tables; `known` includes them from then on.

    `add_values` is called for batches of logged values, (run number, fact) each.
    """
    rows = rows_of(facts, known)
    moves: list[Write] = [partial(_move, move=move) for move in rows.moves]
    writes = [
        *moves,  # First, as the inserted rows were moved already.
        *insertion("store.identities", rows.identities, _IDENTITIES),
        *insertion("store.saved_views", rows.saved_views, _SAVED_VIEWS),
        *insertion("store.writers", rows.writers, _WRITERS),
        *insertion("store.experiments", rows.experiments, _EXPERIMENTS),
        *insertion("store.runs", rows.runs, _RUNS),
        *insertion("store.submissions", rows.submissions, _SUBMISSIONS),
        *insertion("store.snapshots", rows.snapshots, _SNAPSHOTS),
        *insertion("store.refusals", rows.refusals, _REFUSALS),
        *insertion("store.warnings", rows.warnings, _WARNINGS),
        *insertion("store.alerts", rows.alerts, _ALERTS),
        *insertion("store.pauses", rows.pauses, _PAUSES),
        *insertion("store.losses", rows.losses, _LOSSES),
        *insertion("store.rewinds", rows.rewinds, _REWINDS),
        *insertion("store.prunings", rows.prunings, _PRUNINGS),
        *insertion("store.damaged", rows.damaged, _DAMAGED),
        *_events(facts),
        *_EXPERIMENT_STATES.prepared(rows.experiment_states),
        *_EXPERIMENT_TAGS.prepared(rows.experiment_tags),
        *_RUN_STATES.prepared(rows.run_states),
        *_RUN_TAGS.prepared(rows.run_tags),
        *_RUN_PROPERTIES.prepared_once(rows.run_properties),
        *_RUN_CONFIG.prepared_once(rows.run_config),
        *_ARTIFACTS.prepared(rows.artifacts),
        *_ENVIRONMENTS.prepared(rows.environments),
    ]
    if rows.batches:
        writes.append(partial(add_values, rows.batches))
    if rows.rewinds:
        # After the values: whatever the batch, a summary is that of all valid points then.
        writes.append(partial(_rewind, run_nos=sorted({run_no for run_no, *_ in rows.rewinds})))
    return writes


def _rewind(connection: duckdb.DuckDBPyConnection, run_nos: Sequence[int]) -> None:
    show_valid_points(connection)
    sum_up_again(connection, run_nos)


# In trees that move, only the roots are awaiting; SET sees the old values.
_MOVE: Final = """
UPDATE store.runs SET
    parent_no = CASE WHEN run_no = root_no THEN ? ELSE parent_no END,
    parent_id = CASE WHEN run_no = root_no THEN ? ELSE parent_id END,
    attached_position = CASE WHEN run_no = root_no THEN ? ELSE attached_position END,
    awaited_id = NULL, root_no = ?, root_id = ?, depth = depth + ?, path = ? || path
WHERE list_contains(?, root_no)
"""


def _move(connection: duckdb.DuckDBPyConnection, move: Move) -> None:
    connection.execute(
        _MOVE,
        [
            move.parent_no,
            move.parent_id,
            move.position,
            move.root_no,
            move.root_id,
            move.depth,
            move.path,
            move.roots,
        ],
    )


def _events(facts: Sequence[Fact]) -> list[Write]:
    """A row for each fact: its columns without the payload."""
    # fmt: off
    position, stream, version, topic, _, _, recorded_at, observed_at, writer_id, reason, actor, _ \
        = zip(*facts, strict=True)
    # fmt: on
    seen_at: Sequence[int | None] = [None] * len(facts)
    if observed_at != recorded_at:
        seen_at = [
            None if observed == recorded else observed
            for observed, recorded in zip(observed_at, recorded_at, strict=True)
        ]
    columns = (
        *(position, stream, version, topic, recorded_at),
        *(seen_at, writer_id, actor, reason),
    )
    return insertion_of_columns("store.events", columns, _EVENTS)


def add_batches(
    connection: duckdb.DuckDBPyConnection,
    batches: Sequence[tuple[int, Fact]],
    segments: Path | None,
    bounds: Bounds,
) -> bool:
    """Adds the values of batches, (run number, fact) each; returns whether segments changed.

    Those that cannot be read are listed as damaged.
    """
    # Imported here: NumPy and Arrow take longer than to write a few rows without them.
    from runlore.projections.metric_summaries import add_to_latest
    from runlore.projections.points import names_of, points_of
    from runlore.projections.segments import add_points

    held = connection.execute("SELECT name, col, kind, series_no FROM store.series").fetchall()
    numbers = {(name, col, kind): number for name, col, kind, number in held}
    sealed = False
    damaged: list[Fact] = []
    for points in points_of(batches, numbers, damaged=damaged):
        add_to_latest(connection, points)
        sealed |= add_points(connection, points.table(), segments, bounds)
    insert(connection, "store.damaged", list(map(DamagedEvent.of, damaged)), _DAMAGED)
    insert(connection, "store.series", names_of(numbers, len(held)), _SERIES)
    return sealed
