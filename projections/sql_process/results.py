"""A result on its way from one process to another: as a table in a DuckDB file of its own.

DuckDB keeps the type of each column. (arro3 cannot write Arrow's IPC format, and pyarrow need not
be there.) An ENUM arrives as text.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb
from arro3.core import Table

from runlore.projections.arrow_tables import answer
from runlore.projections.user_sql import SqlResult

if TYPE_CHECKING:
    from collections.abc import Sequence

_SETTINGS: Final[dict[str, str | bool | int | float | list[str]]] = {
    "threads": "1",
    "memory_limit": "200MB",
    "temp_directory": "",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}


def write_result(result: SqlResult, file: Path) -> list[str]:
    """Write the result into a new file; returns its columns. Raises duckdb.Error."""
    table = Table.from_arrow(result)
    # By place: a query may give two columns one name.
    numbered = table.rename_columns([f"c{place}" for place in range(table.num_columns)])
    with duckdb.connect(str(file), config=_SETTINGS) as connection:
        connection.register("shown", numbered)
        connection.execute("CREATE TABLE result AS FROM shown")
    return result.columns


def read_result(file: Path, columns: Sequence[str]) -> SqlResult:
    """The result in a file. Raises duckdb.Error."""
    with duckdb.connect(str(file), read_only=True, config=_SETTINGS) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_external_access = false")
        table = answer(connection.sql("FROM result"))
    return SqlResult(table.rename_columns(list(columns)))
