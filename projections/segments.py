"""Where points are: a tail in the database, and before it sealed segments.

A segment is a Parquet file, sorted by series, run and place in the log, that is never changed.
The table `store.segments` lists them by their names; their folder is said when the database is
opened, so that a copy of it works beside hard links to the same files. A file that is not listed
was left by a crash or a merge, and is removed.

Segments follow each other in the log, and the tail follows all of them.
"""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from runlore.projections.points import SCHEMA
from runlore.projections.segment_files import Bounds, Segment, listed_segments, show
from runlore.projections.temporal import insert_table
from runlore.storage.value_arrays import starts_of

_ROW_GROUP: Final = 122_880  # DuckDB's own; statistics pass over those that a query does not need.
_DIFFERENCES: Final = dict.fromkeys(("step", "time", "position", "idx"), "DELTA_BINARY_PACKED")


def add_points(
    connection: duckdb.DuckDBPyConnection,
    table: pa.Table,
    folder: Path | None,
    bounds: Bounds,
) -> bool:
    """Adds sorted points that are later than all others; returns whether segments changed.

    Without a folder all points stay in the tail.
    """
    if folder is None:
        insert_table(connection, "store.tail_points", table)
        return False
    tail = connection.execute("SELECT count(*) FROM store.tail_points").fetchall()[0][0]
    if tail + len(table) < bounds.seal_rows:
        insert_table(connection, "store.tail_points", table)
        return False
    if tail:
        table = merged([_sorted_tail(connection), table])
        connection.execute("DELETE FROM store.tail_points")
    added = _written(table, folder)
    group = _to_merge([*listed_segments(connection), added], bounds)
    if group:
        del table
        added = _written(merged([read_segment(folder, segment) for segment in group]), folder)
        connection.execute(
            "DELETE FROM store.segments WHERE from_position >= ?", [added.from_position]
        )
    connection.execute(
        f"INSERT INTO store.segments VALUES ({', '.join('?' * len(added))})", list(added)
    )
    show(connection, listed_segments(connection), folder)
    return True


def merged(tables: Sequence[pa.Table]) -> pa.Table:
    """Sorted tables, each later in the log than those before it, as one sorted table.

    Rows of one series and run stay together as they are, so that only these are put in order.
    """
    whole = pa.concat_tables(tables)
    series_no = whole["series_no"].to_numpy()
    run_no = whole["run_no"].to_numpy()
    new = np.ones(len(whole), bool)
    new[1:] = (series_no[1:] != series_no[:-1]) | (run_no[1:] != run_no[:-1])
    new[np.cumsum([len(table) for table in tables])[:-1]] = True
    starts = np.flatnonzero(new)
    n = np.diff(starts, append=len(whole))
    order = np.lexsort((starts, run_no[starts], series_no[starts]))
    n = n[order]
    rows = np.repeat(starts[order] - starts_of(n), n) + np.arange(len(whole))
    return whole.take(pa.array(rows)).combine_chunks()


def read_segment(folder: Path, segment: Segment) -> pa.Table:
    """A segment's rows. Raises duckdb.IOException if it is not as it was written."""
    try:
        content = (folder / segment.name).read_bytes()
    except OSError as error:
        raise duckdb.IOException(f"segment {segment.name} cannot be read: {error}") from error
    if zlib.crc32(content) != segment.crc32:
        raise duckdb.IOException(f"segment {segment.name} is damaged")
    return pq.ParquetFile(pa.BufferReader(content)).read().cast(SCHEMA)


def _sorted_tail(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    query = "FROM store.tail_points ORDER BY series_no, run_no, position, idx"
    return connection.sql(query).to_arrow_table().cast(SCHEMA)


def _to_merge(segments: Sequence[Segment], bounds: Bounds) -> Sequence[Segment]:
    """The newest segments, if they are enough of one size and not too large together."""
    newest = segments[-bounds.fan :]
    alike = min(s.rows for s in newest) * bounds.fan > max(s.rows for s in newest)
    if (
        len(newest) == bounds.fan
        and alike
        and sum(s.rows for s in newest) <= bounds.merged_max_rows
    ):
        return newest
    return ()


def _written(table: pa.Table, folder: Path) -> Segment:
    """The rows as a file of a name that no other ever has."""
    name = f"{uuid.uuid4().hex}.parquet"
    try:
        content = _write(table, folder / name)
    except OSError as error:  # As DuckDB says it when its own file cannot grow.
        raise duckdb.IOException(f"segment {name} cannot be written: {error}") from error
    positions = table["position"].to_numpy()
    first, last = int(positions.min()), int(positions.max())
    return Segment(name, len(table), first, last, len(content), zlib.crc32(content))


def _write(table: pa.Table, path: Path) -> bytes:
    pq.write_table(
        table,
        path,
        row_group_size=_ROW_GROUP,
        compression="zstd",
        compression_level=1,
        use_dictionary=["series_no", "run_no", "text", "type"],
        # Beside DuckDB's own COPY four fifths of the size, and faster to write and to read.
        column_encoding={**_DIFFERENCES, "value": "BYTE_STREAM_SPLIT"},
    )
    return path.read_bytes()
