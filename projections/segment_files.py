"""Which segments there are, whether their files are whole, and how SQL sees them.

Apart from `segments.py`, which writes them: every opening needs this module.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from runlore.projections.driver import duckdb
from runlore.projections.table_order import CLUSTER_ROWS

SEAL_ROWS: Final = 1_000_000
"""How many rows the tail may have."""

READ_ONLY: Final = 0o400
"""The mode of a segment's file: others link to it, and it is never changed."""

_PATTERN: Final = frozenset("*?[]")
_READ_NBYTES: Final = 1 << 20
# In the order of the log for each run and series: charts are read from it without sorting.
_WITH_SEGMENTS: Final = """
CREATE OR REPLACE VIEW store.metric_points AS
FROM read_parquet(getvariable('segments'), hive_partitioning = false)
UNION ALL
FROM store.tail_points
"""
_TAIL_ONLY: Final = "CREATE OR REPLACE VIEW store.metric_points AS FROM store.tail_points"


class Bounds(NamedTuple):
    """When the tail is sealed, and how many neighbours of one size, up to which, become one.

    From `cluster_rows` rows on the tables of tags, properties and states are clustered.
    """

    seal_rows: int = SEAL_ROWS
    fan: int = 4
    merged_max_rows: int = 5 * SEAL_ROWS
    cluster_rows: int = CLUSTER_ROWS


BOUNDS: Final = Bounds()


class Segment(NamedTuple):
    """A row of `store.segments`."""

    name: str
    rows: int
    from_position: int
    to_position: int
    nbytes: int
    crc32: int


def listed_segments(connection: duckdb.DuckDBPyConnection) -> list[Segment]:
    """The segments in the order of the log."""
    rows = connection.execute("FROM store.segments ORDER BY from_position").fetchall()
    return [Segment(*row) for row in rows]


def show(
    connection: duckdb.DuckDBPyConnection, segments: Collection[Segment], folder: Path | None
) -> None:
    """Makes `store.metric_points` read these segments.

    The view names a variable of the connection instead of files: the database may be a copy of
    another's and must not know where they are.
    """
    paths = [str(path) for path in _paths(segments, folder)]
    connection.execute("SET VARIABLE segments = ?", [paths])
    held = connection.execute("FROM layout.points").fetchall()
    if held != [(bool(paths),)]:
        connection.execute(_WITH_SEGMENTS if paths else _TAIL_ONLY)
        connection.execute("UPDATE layout.points SET with_segments = ?", [bool(paths)])


def check_sizes(segments: Collection[Segment], folder: Path | None) -> None:
    """Raises duckdb.IOException unless each segment has a file of its size. Makes it read-only."""
    for segment, path in zip(segments, _paths(segments, folder), strict=True):
        try:
            found = path.stat()
            nbytes = found.st_size
            if found.st_mode & 0o222:  # An earlier version wrote it.
                path.chmod(READ_ONLY)
        except OSError as error:
            raise duckdb.IOException(f"segment {segment.name} is missing") from error
        if nbytes != segment.nbytes:
            raise duckdb.IOException(
                f"segment {segment.name} has {nbytes} bytes instead of {segment.nbytes}"
            )


Checked = Mapping[str, tuple[int, int, int]]
"""The segments that were found to be whole, by name, and which file each was then."""


def check_contents(
    connection: duckdb.DuckDBPyConnection, folder: Path | None, checked: Checked
) -> Checked:
    """All segments, checked; raises duckdb.IOException for one that is not as it was written.

    Skips those in `checked` whose file was not written to since. Parquet files do not detect
    damage: most of their bits can change and only the values read differ. 3 GB a second.
    """
    segments = listed_segments(connection)
    found = {}
    for segment, path in zip(segments, _paths(segments, folder), strict=True):
        identity = _identity_of(path)
        if checked.get(segment.name) != identity:
            check_content(segment, path)
        found[segment.name] = identity
    return found


def _identity_of(path: Path) -> tuple[int, int, int]:
    """What changes when the file is written to or replaced, and not when somebody links to it."""
    try:
        found = path.stat()
    except OSError as error:
        raise duckdb.IOException(f"segment {path.name} is missing") from error
    return found.st_ino, found.st_size, found.st_mtime_ns


def check_content(segment: Segment, path: Path) -> None:
    """Raises duckdb.IOException if the segment's file is not as it was written."""
    if crc32_of(path) != segment.crc32:
        raise duckdb.IOException(f"segment {segment.name} is damaged")


def remove_unlisted(segments: Collection[Segment], folder: Path | None) -> None:
    """Removes files that crashes and merges left. Call it when the list can no longer roll back."""
    if folder is None:
        return
    names = {segment.name for segment in segments}
    with suppress(OSError):  # If the folder was removed, so were the files.
        for path in folder.iterdir():
            if path.name not in names:
                path.unlink(missing_ok=True)


def usable(folder: Path | None) -> Path | None:
    """The folder, unless DuckDB would take its path for a pattern."""
    return folder if folder is None or not _PATTERN.intersection(str(folder.absolute())) else None


def _paths(segments: Collection[Segment], folder: Path | None) -> list[Path]:
    if folder is None:
        if segments:
            raise duckdb.IOException("there are segments, but no folder that they are in")
        return []
    return [folder.absolute() / segment.name for segment in segments]


def crc32_of(path: Path) -> int:
    """The checksum of a segment's file. Raises duckdb.IOException if it cannot be read."""
    found = 0
    try:
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(_READ_NBYTES):
                found = zlib.crc32(chunk, found)
    except OSError as error:
        raise duckdb.IOException(f"segment {path.name} cannot be read: {error}") from error
    return found
