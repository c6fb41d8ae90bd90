"""DuckDB's extension module, without the package around it.

The package gives connections relations and tables of Python objects, and takes three times as long
to import as the extension: as long as a short command may take in all. To open tables, to execute
statements and to fetch rows, the extension is enough.
"""

from __future__ import annotations

import _duckdb as duckdb

__all__ = ["complete", "duckdb"]


def complete() -> None:
    """Import the package: all connections have `sql` and `register` from now on."""
    import duckdb  # noqa: F401
