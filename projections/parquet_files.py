"""The views of runs as Parquet files, for other tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import duckdb

from runlore.projections.arrow_tables import stream, table_of_columns
from runlore.projections.connection import connect
from runlore.projections.open_tables import OpenTables
from runlore.projections.own_projection import OwnProjection
from runlore.projections.sql_text import quoted
from runlore.projections.system_faults import as_the_system_says_it
from runlore.projections.views import run_id_in

_EVENTS: Final = f"""
SELECT v.position, v.stream, v.version, v.topic, make_timestamptz(v.recorded_at) AS recorded_at,
       v.writer_id, coalesce(v.actor, w.actor) AS actor, v.reason,
       {run_id_in("v.stream")} AS run_id,
       make_timestamptz(coalesce(v.observed_at, v.recorded_at)) AS observed_at
FROM store.events v
LEFT JOIN store.writers w ON w.writer_id = v.writer_id
"""
_ARTIFACTS: Final = """
SELECT run_id, name, sha256, nbytes, set_at AS kept_at, set_by AS kept_by, uri, replaces, pruned_at
FROM artifacts
"""

QUERIES: Final = {
    "runs": "FROM runs",
    "tags": "FROM tags",
    "properties": "FROM properties",
    "config": "FROM config",
    "metrics": "FROM metrics",
    "metric_points": "FROM metric_points",
    "tag_history": "FROM tag_history",
    "property_history": "FROM property_history",
    "status_history": "FROM status_history",
    "events": _EVENTS,
    "artifacts": _ARTIFACTS,
}
"""The query behind each file; all have a `run_id`. Events come without their payloads."""


def write_view(
    projection: OwnProjection, name: str, run_ids: Sequence[str] | None, path: Path
) -> int:
    """Writes a view's rows of some runs, or of all, as Parquet; returns their number.

    Raises OSError if the file cannot be written.
    """

    def question(tables: OpenTables) -> int:
        tables.check_segments()
        return _write(tables.connection, name, run_ids, path)

    return projection.ask(question)


def _write(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    run_ids: Sequence[str] | None,
    path: Path,
) -> int:
    query = f"SELECT * FROM ({QUERIES[name]})"
    if run_ids is None:
        return _copied(connection.sql(query), path)
    connection.register("chosen", table_of_columns([run_ids], {"run_id": "string"}))
    try:
        return _copied(connection.sql(f"{query} SEMI JOIN chosen USING (run_id)"), path)
    finally:
        connection.unregister("chosen")


def _copied(rows: duckdb.DuckDBPyRelation, path: Path) -> int:
    """Writes rows to a file; a projection's own connection may write none but its own."""
    copy = f"COPY (FROM rows) TO {quoted(path)} (FORMAT parquet, COMPRESSION zstd)"
    with connect(":memory:", None, path.parent) as writing:
        writing.register("rows", stream(rows))
        try:
            [(n,)] = writing.execute(copy).fetchall()
        except duckdb.IOException as error:  # Of the file: what fails in the rows is no IO here.
            raise as_the_system_says_it(error) from error
    return int(n)
