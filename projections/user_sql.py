"""SQL of users: one reading SELECT, and nothing else.

Three fences, because no single one holds: DuckDB's parser must see exactly one SELECT (it calls a
data-modifying CTE one) and no COPY, the transaction is read-only, and the connection has no access
to anything outside the database and its segments (see `connection.py`).
"""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import duckdb

from runlore.domain.errors import UserError
from runlore.projections.arrow_tables import (
    Rows,
    has_intervals,
    table_of_arrays,
    whole,
)
from runlore.projections.views import shown_as_of, view_names

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow
    from arro3.core import ChunkedArray, Table

Params = Sequence[Any] | Mapping[str, Any] | None
"""The values of a query's parameters, by place or by name."""

RESULT_MAX_NBYTES: Final = 1_000_000_000


class QueryRefused(UserError):
    """The statement is not a single reading SELECT; nothing was run."""

    def __init__(self, query: str, found: str) -> None:
        super().__init__(
            f"sql() takes one SELECT that only reads, got {found}: {query.strip()[:200]!r}; "
            f"the views are {', '.join(view_names())}"
        )
        self.query = query


class QueryFailed(UserError):
    """The SELECT could not be run; the message is DuckDB's."""

    def __init__(self, query: str, reason: str) -> None:
        super().__init__(f"sql() could not run {query.strip()[:200]!r}: {reason}")
        self.query = query
        self.reason = reason


class PyArrowMissing(UserError, ImportError):
    """A result was asked for as pyarrow's table, and pyarrow is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "arrow() returns a table of pyarrow, which is not installed; install it with "
            "pip install 'runlore[arrow]', or take fetchall(), pandas() or polars()"
        )


class SqlResult:
    """The whole result of a query, in memory.

    Libraries that know Arrow's C stream, as polars and DuckDB do, take the object itself.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self._table.column_names)

    def arrow(self) -> pyarrow.Table:
        """The result as a table of pyarrow; costs nothing. Raises PyArrowMissing."""
        try:
            import pyarrow
        except ImportError as error:
            raise PyArrowMissing from error
        return pyarrow.table(self._table)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)

    def pandas(self) -> pandas.DataFrame:
        """The result as a pandas frame, as DuckDB makes it; pandas must be installed."""
        import pandas  # noqa: F401 - or else DuckDB would say that it is missing

        with _shown_by_duckdb(self._table) as relation, warnings.catch_warnings():
            # DuckDB 2.0 drops columns in a way that pandas 3.1 deprecates.
            warnings.filterwarnings("ignore", "The inplace keyword")
            return relation.df()

    def polars(self) -> polars.DataFrame:
        """The result as a polars frame; polars must be installed."""
        import polars

        return polars.DataFrame(
            [
                polars.Series(name, _values(column) if has_intervals(column.type) else column)
                for name, column in zip(self.columns, self._table.columns, strict=True)
            ]
        )

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The result as a list of tuples."""
        return list(self)

    def __len__(self) -> int:
        return self._table.num_rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return zip(*map(_values, self._table.columns), strict=True)

    def __repr__(self) -> str:
        return f"SqlResult({len(self)} rows: {', '.join(self.columns)})"


def _values(column: ChunkedArray) -> list[Any]:
    if not has_intervals(column.type):
        return list(column.to_pylist())
    with _shown_by_duckdb(table_of_arrays({"shown": whole(column)})) as relation:
        return [value for (value,) in relation.fetchall()]


@contextmanager
def _shown_by_duckdb(table: Table) -> Iterator[duckdb.DuckDBPyRelation]:
    """The table as a query of a database of its own, which can give it in other forms."""
    with duckdb.connect(config={"threads": "1"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("shown", table)
        yield connection.sql("FROM shown")


def run_query(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    params: Params,
) -> SqlResult:
    """The result of a user's query. Raises QueryRefused or QueryFailed; changes nothing."""
    _check_text(query)
    with _told_as_ours(query):
        _check_kind(connection, query)
        return _result(connection, query, params)


def run_query_as_of(
    connection: duckdb.DuckDBPyConnection, query: str, params: Params, position: int
) -> SqlResult:
    """The result of a user's query as of a position.

    Refuses the tables behind the views, which would answer as of now.
    """
    _check_text(query)
    with shown_as_of(connection, position, query), _told_as_ours(query):
        _check_kind(connection, query)
        if _may_pass_by_views(connection, query):
            raise QueryRefused(query, "tables as they are now, and as of a moment there are none")
        return _result(connection, query, params)


def _result(connection: duckdb.DuckDBPyConnection, query: str, params: Params) -> SqlResult:
    with _reading(connection):
        return SqlResult(_fetch_unless_interrupted(connection, query, _bound(params)))


@contextmanager
def _told_as_ours(query: str) -> Iterator[None]:
    try:
        yield
    except duckdb.PermissionException as error:
        raise QueryRefused(query, f"one that leaves the database ({error})") from error
    except duckdb.TransactionException as error:
        raise QueryRefused(query, f"one that writes ({error})") from error
    except _FAILURES as error:
        raise QueryFailed(query, str(error)) from error


_FAILURES: Final = (
    duckdb.Error,
    OverflowError,
    TypeError,
    ValueError,
)


def may_be_damage(error: Exception) -> bool:
    """Whether the database may be the reason, and not the query."""
    return isinstance(error, QueryFailed) and error.reason.startswith(_SIGNS_OF_DAMAGE)


# By their text, because a stream's errors have lost their class.
_SIGNS_OF_DAMAGE: Final = (
    "Corrupt database file",
    "IO Error",
    "INTERNAL Error",
    "FATAL Error",
    "Serialization Error",
)


def _check_text(query: object) -> None:
    if not isinstance(query, str):
        raise QueryRefused(repr(query), f"a {type(query).__name__}")


def _check_kind(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    query.encode()  # Or else a lone surrogate would fail with a puzzle.
    statements = connection.extract_statements(query)
    try:
        kinds = [statement.type for statement in statements]
    except ValueError as error:  # CONNECT: the parser knows it, its Python face does not.
        raise QueryRefused(query, "a statement of another kind") from error
    if kinds != [duckdb.StatementType.SELECT]:
        found = ", ".join(kind.name for kind in kinds) or "nothing"
        raise QueryRefused(query, f"{len(kinds)} statements ({found})")
    if "copy" in query.casefold() and _copies(connection, query):
        raise QueryRefused(query, "a COPY")


def _copies(connection: duckdb.DuckDBPyConnection, query: str) -> bool:
    """Whether a COPY stands in the WITH of a SELECT.

    A read-only transaction lets it write, into the folder of the segments. DuckDB takes it at
    the top of a statement only, so no function can be given one as a text.
    """
    nodes = _parsed(connection, query)
    return nodes is None or any(node.get("type") == "COPY_QUERY_NODE" for node in nodes)


def _may_pass_by_views(connection: duckdb.DuckDBPyConnection, query: str) -> bool:
    """Whether a name is qualified by the schema `store` or by the database, and skips the views.

    The arguments of `query()` and `query_table()` may contain such names.
    """
    row = connection.execute("SELECT current_database()").fetchone()
    behind = {"store", row[0] if row else ""}
    text = query.casefold()
    if not any(name in text for name in behind):
        return False
    nodes = _parsed(connection, query)
    if nodes is None:
        return True
    names = [named["path"] for node in nodes if (named := node.get("qualified_name"))]
    return any(node.get("function_name") in ("query", "query_table") for node in nodes) or any(
        part.casefold() in behind for path in names for part in path[:-1]
    )


def _parsed(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]] | None:
    """All nodes of a query's tree; None if DuckDB has no text for it, and so better refused."""
    answer = connection.execute("SELECT json_serialize_sql(?)", [query]).fetchall()[0][0]
    parsed = json.loads(answer)
    if parsed["error"]:
        return None
    nodes = []
    waiting = [parsed]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            nodes.append(node)
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return nodes


@contextmanager
def _reading(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    try:  # Includes BEGIN: an interrupt may come right after it.
        connection.execute("BEGIN TRANSACTION READ ONLY")
        yield
    finally:
        with suppress(duckdb.TransactionException):
            connection.execute("ROLLBACK")


def _bound(params: object) -> list[Any] | dict[str, Any] | None:
    if isinstance(params, Mapping):
        return dict(params) or None
    if params is None or (isinstance(params, Sequence) and not isinstance(params, str | bytes)):
        return list(params or ()) or None
    raise TypeError(f"params is a {type(params).__name__}; it takes a list or a dict")


def _fetch_unless_interrupted(
    connection: duckdb.DuckDBPyConnection, query: str, params: list[Any] | dict[str, Any] | None
) -> Table:
    """The whole result. DuckDB does not look for Ctrl-C while it streams, so another thread waits
    for it, and this one can be interrupted.
    """
    answer: Future[Table] = Future()

    def fetch() -> None:
        try:
            # A list and a dict both bind; only `sql` streams.
            answer.set_result(_fetch(connection.sql(query, params=params)))
        except BaseException as error:
            answer.set_exception(error)

    thread = threading.Thread(target=fetch, name="runlore-sql", daemon=True)
    try:
        thread.start()
        return answer.result()
    except KeyboardInterrupt:
        _stop(connection, thread, answer)
        raise


def _stop(
    connection: duckdb.DuckDBPyConnection, thread: threading.Thread, answer: Future[Table]
) -> None:
    """Interrupts until the thread has ended: an interrupt before the query's begin is lost."""
    for attempt in count():
        with suppress(KeyboardInterrupt):  # Once is enough.
            connection.interrupt()
            done, _ = wait([answer], timeout=0.02)
            never_began = thread.ident is None and attempt > 50
            if done or never_began:
                return


def _fetch(relation: duckdb.DuckDBPyRelation) -> Table:
    """The whole result. DuckDB's memory limit does not count results, so this does."""
    rows = Rows(relation)
    batches = []
    nbytes = 0
    for batch in rows:
        nbytes += batch.nbytes
        if nbytes > RESULT_MAX_NBYTES:
            rows.close()
            raise ValueError(
                f"the result is larger than {RESULT_MAX_NBYTES / 1e9:g} GB; aggregate it, or ask "
                "for it in parts"
            )
        batches.append(batch)
    return rows.table(batches)
