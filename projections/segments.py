"""Where points are: a tail in the database, and before it sealed segments.

A segment is a Parquet file, sorted by series, run and place in the log, that is never changed.
The table `store.segments` lists them by their names; their folder is said when the database is
opened, so that a copy of it works beside hard links to the same files. A file that is not listed
was left by a crash or a merge, and is removed.

Segments follow each other in the log, and the tail follows all of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from arro3.core import Table

from runlore.projections.driver import duckdb
from runlore.projections.points import SHOWN
from runlore.projections.segment_files import (
    READ_ONLY,
    Bounds,
    Segment,
    check_content,
    crc32_of,
    listed_segments,
    show,
)
from runlore.projections.sql_text import quoted
from runlore.projections.temporal import with_table

_ADDED: Final = f"SELECT {SHOWN} FROM added"
_ORDER: Final = "series_no, run_no, position, idx"
# Version 2 has the encodings of differences, and of floats byte by byte.
_COPY: Final = """
COPY ({rows}) TO {path} (
    FORMAT parquet, PARQUET_VERSION v2, COMPRESSION zstd, COMPRESSION_LEVEL 1,
    DICTIONARY_SIZE_LIMIT 1000, USE_TMP_FILE false
)
"""


def add_points(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    folder: Path | None,
    bounds: Bounds,
) -> bool:
    """Adds sorted points that are later than all others; returns whether segments changed.

    Without a folder all points stay in the tail.
    """
    tail = connection.execute("SELECT count(*) FROM store.tail_points").fetchall()[0][0]
    with _shown(connection, table):
        if folder is None or tail + len(table) < bounds.seal_rows:
            connection.execute(f"INSERT INTO store.tail_points {_ADDED}")
            return False
        rows = f"FROM store.tail_points UNION ALL {_ADDED} ORDER BY {_ORDER}"
        added = _written(connection, rows if tail else _ADDED, folder)
    if tail:
        connection.execute("DELETE FROM store.tail_points")
    group = _to_merge([*listed_segments(connection), added], bounds)
    if group:
        for segment in group:
            check_content(segment, folder / segment.name)
        paths = ", ".join(quoted(folder / segment.name) for segment in group)
        files = f"read_parquet([{paths}], hive_partitioning = false)"
        added = _written(connection, f"FROM {files} ORDER BY {_ORDER}", folder)
        connection.execute(
            "DELETE FROM store.segments WHERE from_position >= ?", [added.from_position]
        )
    connection.execute(
        f"INSERT INTO store.segments VALUES ({', '.join('?' * len(added))})", list(added)
    )
    show(connection, listed_segments(connection), folder)
    return True


@contextmanager
def _shown(connection: duckdb.DuckDBPyConnection, table: Table) -> Iterator[None]:
    with_table(connection, "added", table)
    try:
        yield
    finally:
        connection.unregister("added")


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


def _written(connection: duckdb.DuckDBPyConnection, rows: str, folder: Path) -> Segment:
    """The rows of a query as a file of a name that no other ever has."""
    name = f"{uuid.uuid4().hex}.parquet"
    path = folder / name
    connection.execute(_COPY.format(rows=rows, path=quoted(path)))
    path.chmod(READ_ONLY)
    [(n, first, last)] = connection.execute(
        "SELECT count(*), min(position), max(position) "
        f"FROM read_parquet({quoted(path)}, hive_partitioning = false)"
    ).fetchall()
    return Segment(name, n, first, last, path.stat().st_size, crc32_of(path))
