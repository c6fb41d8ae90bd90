"""DuckDB connections for projections: bounded, offline, without access to the host."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb

_SETTINGS: Final = {
    # DuckDB's defaults are all cores and 80 % of the memory: wrong inside a training job.
    "threads": "2",
    "memory_limit": "1GB",
    "max_temp_directory_size": "10GB",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",  # SQL must not reach into the caller's variables.
}


def connect(
    path: str | Path, spill: Path | None, segments: Path | None = None
) -> duckdb.DuckDBPyConnection:
    """A connection to a database file or `:memory:`; large queries spill to the folder `spill`.

    Files of the folder `segments` can be read, and no others.
    """
    connection = duckdb.connect(str(path), config={**_SETTINGS, "temp_directory": str(spill or "")})
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")  # In a console it goes to stdout.
        if segments is not None:
            connection.execute("SET allowed_directories = ?", [[str(segments.absolute())]])
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    except BaseException:
        connection.close()
        raise
    return connection
