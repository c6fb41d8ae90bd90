"""DuckDB connections for projections: bounded, offline, without access to the host."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from runlore.projections.driver import connect as open_database
from runlore.projections.driver import duckdb

MEMORY_NBYTES: Final = 1_000_000_000
"""What DuckDB fills before it spills."""

_SETTINGS: Final = {
    # DuckDB's defaults are all cores and 80 % of the memory: wrong inside a training job.
    "threads": "2",
    "max_temp_directory_size": "10GB",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",  # SQL must not reach into the caller's variables.
}


def connect(
    path: str | Path,
    spill: Path | None,
    segments: Path | None = None,
    memory_nbytes: int = MEMORY_NBYTES,
) -> duckdb.DuckDBPyConnection:
    """A connection to a database file or `:memory:`; large queries spill to the folder `spill`.

    Files of the folder `segments` can be read, and no others. Raises OSError if this process has no
    descriptors left.
    """
    own = {"temp_directory": str(spill or ""), "memory_limit": f"{memory_nbytes}B"}
    connection = open_database(str(path), {**_SETTINGS, **own})
    try:
        connection.execute("SET TimeZone = 'UTC'")
        # In a notebook without ipywidgets DuckDB has no bar, and refuses to be told so.
        with suppress(duckdb.InvalidInputException):
            connection.execute("SET enable_progress_bar = false")  # In a console it goes to stdout.
        if segments is not None:
            connection.execute("SET allowed_directories = ?", [[str(segments.absolute())]])
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    except BaseException:
        connection.close()
        raise
    return connection
