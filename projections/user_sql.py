"""SQL of users: one reading SELECT, and nothing else.

Three fences, because no single one holds: DuckDB's parser must see exactly one SELECT (it calls a
data-modifying CTE one), the transaction is read-only, and the connection has no access to
anything outside the database (see `connection.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from runlore.domain.errors import UserError

if TYPE_CHECKING:
    import pandas
    import polars

_VIEWS = (
    "experiments, runs, tags, properties, metrics, metric_points, run_tree, events, tag_history, "
    "status_history"
)


class QueryRefused(UserError):
    """The statement is not one reading SELECT; nothing was run."""

    def __init__(self, query: str, found: str) -> None:
        super().__init__(
            f"sql() takes one SELECT that only reads, got {found}: {query.strip()[:200]!r}; "
            f"the views are {_VIEWS}"
        )
        self.query = query


class QueryFailed(UserError):
    """The SELECT could not be run; the message is DuckDB's."""

    def __init__(self, query: str, reason: str) -> None:
        super().__init__(f"sql() could not run {query.strip()[:200]!r}: {reason}")
        self.query = query
        self.reason = reason


class SqlResult:
    """The whole result of a query, in memory."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self._table.column_names)

    def arrow(self) -> pa.Table:
        """The result as an Arrow table; costs nothing."""
        return self._table

    def pandas(self) -> pandas.DataFrame:
        """The result as a pandas frame; pandas must be installed."""
        return self._table.to_pandas()

    def polars(self) -> polars.DataFrame:
        """The result as a polars frame; polars must be installed."""
        import polars

        frame = polars.from_arrow(self._table)
        assert isinstance(frame, polars.DataFrame), "a table becomes a frame"
        return frame

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The result as a list of tuples."""
        return list(self)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        columns = [column.to_pylist() for column in self._table.columns]
        return zip(*columns, strict=True)

    def __repr__(self) -> str:
        return f"SqlResult({len(self)} rows: {', '.join(self.columns)})"


def run_query(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    params: Sequence[Any] | Mapping[str, Any] | None,
) -> SqlResult:
    """The result of a user's query. Raises QueryRefused or QueryFailed; changes nothing."""
    _check(connection, query)
    connection.execute("BEGIN TRANSACTION READ ONLY")
    try:
        # `sql` would need a relation that outlives the transaction; a list or dict both bind.
        bound = list(params) if isinstance(params, Sequence) else dict(params or {})
        table = connection.sql(query, params=bound or None).to_arrow_table()
    except duckdb.PermissionException as error:
        raise QueryRefused(query, f"one that leaves the database ({error})") from error
    except duckdb.TransactionException as error:
        raise QueryRefused(query, f"one that writes ({error})") from error
    except (duckdb.Error, TypeError, ValueError) as error:
        raise QueryFailed(query, str(error)) from error
    finally:
        connection.execute("ROLLBACK")
    return SqlResult(table)


def _check(connection: duckdb.DuckDBPyConnection, query: object) -> None:
    if not isinstance(query, str):
        raise QueryRefused(repr(query), f"a {type(query).__name__}")
    try:
        statements = connection.extract_statements(query)
    except duckdb.Error as error:
        raise QueryFailed(query, str(error)) from error
    kinds = [statement.type for statement in statements]
    if kinds != [duckdb.StatementType.SELECT]:
        found = ", ".join(kind.name for kind in kinds) or "nothing"
        raise QueryRefused(query, f"{len(kinds)} statements ({found})")
