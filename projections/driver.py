"""DuckDB's extension module, without the package around it.

The package gives connections relations and tables of Python objects, and takes three times as long
to import as the extension: as long as a short command may take in all. To open tables, to execute
statements and to fetch rows, the extension is enough.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from typing import Any, Final

import _duckdb as duckdb

__all__ = ["complete", "connect", "duckdb", "stop"]

_OPENED: Final = 4
"""As many descriptors as DuckDB takes for a database and its write-ahead log, and some more."""


def connect(path: str, config: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    """A connection to a database file or `:memory:`.

    Raises OSError if this process has no descriptors left: DuckDB would abort it.
    """
    with ExitStack() as free:
        for _ in range(_OPENED):
            free.callback(os.close, os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    return duckdb.connect(path, config=config)


def stop(connection: duckdb.DuckDBPyConnection) -> None:
    """Stop the statement that a signal handler broke off, if there is one.

    DuckDB's threads go on with it, and the next statement would wait for its end.
    """
    with suppress(duckdb.Error):  # It may be closed.
        connection.interrupt()


def complete() -> None:
    """Import the package: all connections have `sql` and `register` from now on."""
    import duckdb  # noqa: F401
