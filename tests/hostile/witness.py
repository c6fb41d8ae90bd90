"""What must be the same before and after an attack: files, the connection, the process."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Any, Final, NamedTuple

from runlore.projections.reader import RunsReader
from tests.projections.histories import asked

_OF_CONNECTION: Final = (
    "SELECT name, value FROM duckdb_settings() ORDER BY ALL",
    "SELECT name, value::VARCHAR FROM duckdb_variables() ORDER BY ALL",
    "SELECT database_name, path, readonly FROM duckdb_databases() ORDER BY ALL",
    "SELECT database_name, schema_name, view_name, sql FROM duckdb_views() ORDER BY ALL",
    "SELECT database_name, schema_name, table_name FROM duckdb_tables() ORDER BY ALL",
    "SELECT database_name, schema_name, sequence_name FROM duckdb_sequences() ORDER BY ALL",
    "SELECT database_name, schema_name, type_name FROM duckdb_types() ORDER BY ALL",
    "SELECT database_name, schema_name, function_name, count(*) FROM duckdb_functions() "
    "GROUP BY ALL ORDER BY ALL",
    "SELECT name FROM duckdb_prepared_statements() ORDER BY ALL",
    "SELECT count(*) FROM duckdb_external_resources()",
    "SELECT count(*) FROM duckdb_external_resource_types()",
)


class State(NamedTuple):
    """Files by path, answers about the connection, and the process's surroundings."""

    files: dict[str, tuple[Any, ...]]
    connection: dict[str, list[tuple[Any, ...]]]
    process: dict[str, Any]


def state_of(reader: RunsReader, folder: Path) -> State:
    """The state of a reader, whose log and tables are below the folder, and of this process."""
    process = {"environment": dict(os.environ), "folder": os.getcwd(), "files": os.listdir()}
    return State(files_of(folder), connection_of(reader), process)


def stats_of(folder: Path) -> dict[str, tuple[int, ...]]:
    """Everything below a folder; what changes whenever a file is written to."""
    found = {str(path): path.lstat() for path in folder.rglob("*")}
    return {name: (one.st_ino, one.st_size, one.st_mtime_ns) for name, one in found.items()}


def files_of(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Everything below a folder, with its content."""
    return {str(path.relative_to(folder)): _file(path) for path in folder.rglob("*")}


def connection_of(reader: RunsReader) -> dict[str, list[tuple[Any, ...]]]:
    """What is registered on the reader's connection, and its settings."""
    return {query: asked(reader, query) for query in _OF_CONNECTION}


def _file(path: Path) -> tuple[Any, ...]:
    found = path.lstat()
    content = path.read_bytes() if stat.S_ISREG(found.st_mode) else b""
    return (found.st_ino, found.st_mode, found.st_size, hashlib.sha256(content).hexdigest())
