"""The projection of runs, tags, properties, values and events: `schema.sql`, filled from facts."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Final

import duckdb
import pyarrow as pa

from runlore.domain.fact import Fact
from runlore.projections.points import names_of, point_tables
from runlore.projections.projection import Projection
from runlore.projections.runs_fold import Known, RunKey, State, mentioned, rows_of
from runlore.projections.temporal import TemporalTable, arrow, insert

SCHEMA_VERSION: Final = 1

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
        "root_no": _INT,
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
_SERIES: Final = pa.schema({"series_no": _INT, "name": _TEXT, "col": _TEXT, "kind": _TEXT})

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


class RunsProjection(Projection):
    """All tables of `schema.sql`."""

    name = "runs"

    def init(self, connection: duckdb.DuckDBPyConnection) -> None:
        made = connection.execute(
            "SELECT count(*) FROM information_schema.schemata WHERE schema_name = 'store'"
        ).fetchall()
        if made == [(0,)]:
            connection.execute(files(__package__).joinpath("schema.sql").read_text())

    def apply(self, facts: Sequence[Fact], connection: duckdb.DuckDBPyConnection) -> None:
        rows = rows_of(facts, _known(facts, connection))
        insert(connection, "store.writers", arrow(rows.writers, _WRITERS))
        insert(connection, "store.experiments", arrow(rows.experiments, _EXPERIMENTS))
        insert(connection, "store.runs", arrow(rows.runs, _RUNS))
        insert(connection, "store.events", arrow(rows.events, _EVENTS))
        _EXPERIMENT_STATES.write(connection, rows.experiment_states)
        _EXPERIMENT_TAGS.write(connection, rows.experiment_tags)
        _RUN_STATES.write(connection, rows.run_states)
        _RUN_TAGS.write(connection, rows.run_tags)
        _RUN_PROPERTIES.write(connection, rows.run_properties)
        if rows.batches:
            _add_points(connection, rows.batches)


def _known(facts: Sequence[Fact], connection: duckdb.DuckDBPyConnection) -> Known:
    """What the tables hold about the runs and experiments that the facts mention."""
    run_ids, experiment_ids = mentioned(facts)
    connection.register("wanted_runs", pa.table({"run_id": pa.array(sorted(run_ids), _TEXT)}))
    connection.register(
        "wanted_experiments",
        pa.table({"experiment_id": pa.array(sorted(experiment_ids), _TEXT)}),
    )
    runs = connection.execute(
        "SELECT run_id, run_no, root_no, depth, path FROM store.runs SEMI JOIN wanted_runs "
        "USING (run_id)"
    ).fetchall()
    states = connection.execute(
        "SELECT s.run_no, s.status, s.status_detail, s.started_at, s.ended_at, s.ended_position, "
        "s.display_name, s.description, s.error FROM store.run_states s "
        "SEMI JOIN (SELECT run_no FROM store.runs SEMI JOIN wanted_runs USING (run_id)) w "
        "USING (run_no) WHERE s.to_position IS NULL"
    ).fetchall()
    experiments = connection.execute(
        "SELECT e.experiment_id, e.experiment_no, coalesce(n.last, 0) FROM store.experiments e "
        "SEMI JOIN wanted_experiments USING (experiment_id) LEFT JOIN (SELECT experiment_no, "
        "max(number) AS last FROM store.runs GROUP BY experiment_no) n USING (experiment_no)"
    ).fetchall()
    counts = connection.execute(
        "SELECT (SELECT coalesce(max(run_no), 0) FROM store.runs), "
        "(SELECT coalesce(max(experiment_no), 0) FROM store.experiments)"
    ).fetchall()[0]
    connection.unregister("wanted_runs")
    connection.unregister("wanted_experiments")
    return Known(
        runs={row[0]: RunKey(*row[1:]) for row in runs},
        states={row[0]: State(*row[1:]) for row in states},
        run_count=counts[0],
        experiments={row[0]: row[1] for row in experiments},
        experiment_count=counts[1],
        numbers={row[1]: row[2] for row in experiments},
    )


def _add_points(connection: duckdb.DuckDBPyConnection, batches: Sequence[tuple[int, Fact]]) -> None:
    held = connection.execute("SELECT name, col, kind, series_no FROM store.series").fetchall()
    numbers = {(name, col, kind): number for name, col, kind, number in held}
    points = pa.concat_tables(point_tables(batches, numbers))
    insert(connection, "store.series", arrow(names_of(numbers, len(held)), _SERIES))
    insert(connection, "store.metric_points", points)
