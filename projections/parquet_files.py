"""The views of runs as Parquet files, for other tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from runlore.projections.open_tables import OpenTables
from runlore.projections.own_projection import OwnProjection

_ROWS_AT_ONCE: Final = 100_000

_EVENTS: Final = """
SELECT v.position, v.stream, v.version, v.topic, make_timestamptz(v.recorded_at) AS recorded_at,
       v.writer_id, w.actor, v.reason,
       CASE WHEN starts_with(v.stream, 'run/') THEN split_part(v.stream, '/', 2) END AS run_id
FROM store.events v
LEFT JOIN store.writers w ON w.writer_id = v.writer_id
"""
_ARTIFACTS: Final = """
SELECT r.run_id, a.name, a.sha256, a.nbytes, make_timestamptz(a.changed_at) AS kept_at,
       w.actor AS kept_by
FROM store.artifacts a
JOIN store.runs r ON r.run_no = a.run_no
LEFT JOIN store.writers w ON w.writer_id = a.writer_id
WHERE a.to_position IS NULL
"""

QUERIES: Final = {
    "runs": "FROM runs",
    "tags": "FROM tags",
    "properties": "FROM properties",
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
    projection: OwnProjection, name: str, run_ids: Sequence[str] | None, file: IO[bytes]
) -> int:
    """Writes a view's rows of some runs, or of all, as Parquet; returns their number."""

    def question(tables: OpenTables) -> int:
        tables.check_segments()
        file.seek(0)
        file.truncate()  # It may be asked again, of a rebuilt database.
        return _write(tables.connection, name, run_ids, file)

    return projection.ask(question)


def _write(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    run_ids: Sequence[str] | None,
    file: IO[bytes],
) -> int:
    query = f"SELECT * FROM ({QUERIES[name]})"
    if run_ids is not None:
        connection.register("chosen", pa.table({"run_id": pa.array(run_ids, pa.string())}))
        query += " SEMI JOIN chosen USING (run_id)"
    try:
        reader = connection.sql(query).to_arrow_reader(_ROWS_AT_ONCE)
        rows = 0
        with pq.ParquetWriter(file, reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)
                rows += batch.num_rows
        return rows
    finally:
        if run_ids is not None:
            connection.unregister("chosen")
