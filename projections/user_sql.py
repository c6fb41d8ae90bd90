"""SQL of users: one reading SELECT, and nothing else.

The fence (`sql_fence.py`) decides on the parsed query what it may reach. Behind it the transaction
is read-only, the connection has no access to anything outside the database and its segments and
its settings are locked (see `connection.py`), and the segments' files cannot be written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import duckdb

from runlore.domain.errors import RunloreError
from runlore.projections.arrow_tables import Rows
from runlore.projections.driver import stop
from runlore.projections.query_limits import QueryTimedOut
from runlore.projections.sql_errors import PyArrowMissing as PyArrowMissing
from runlore.projections.sql_errors import QueryFailed as QueryFailed
from runlore.projections.sql_errors import QueryRefused as QueryRefused
from runlore.projections.sql_fence import SHOW_VIEWS, Reach, parsed, reach, shows_tables, tree_of
from runlore.projections.sql_pivot import Marked, filled, marked
from runlore.projections.sql_result import SqlResult as SqlResult
from runlore.projections.sql_runs_table import Call, without_calls
from runlore.projections.views import shown_as_of
from runlore.storage.handler_errors import raise_what_was_dropped

if TYPE_CHECKING:
    from arro3.core import Table

Params = Sequence[Any] | Mapping[str, Any] | None
"""The values of a query's parameters, by place or by name."""

RESULT_MAX_NBYTES: Final = 1_000_000_000
_KNOWN_MAX: Final = 100


class Question(NamedTuple):
    """A user's query that the fence lets pass, what is run for it, and what that reads.

    `marked` is run if it is a PIVOT whose values are yet to be found. `calls` are those of
    runs_table: the tables that the text names instead are to be made before it is run.
    """

    query: str
    text: str
    reach: Reach
    marked: Marked | None = None
    calls: tuple[Call, ...] = ()


def checked(
    connection: duckdb.DuckDBPyConnection, query: str, known: dict[str, Question]
) -> Question:
    """The query as a question; `known` keeps those of this connection, as many are asked again.

    Raises QueryRefused, or QueryFailed if it is not SQL.
    """
    if not isinstance(query, str):
        raise QueryRefused(repr(query), f"a {type(query).__name__}")
    question = known.get(query)
    if question is None:
        question = _checked(connection, query)
        if question.marked is None:  # A mark is used once.
            if len(known) >= _KNOWN_MAX:
                known.clear()
            known[query] = question
    return question


def _checked(connection: duckdb.DuckDBPyConnection, query: str) -> Question:
    with _told_as_ours(query):
        trees = parsed(connection, query)
        if trees is not None and len(trees) == 1:
            if shows_tables(trees[0]):
                return Question(query, SHOW_VIEWS, reach(query, tree_of(connection, SHOW_VIEWS)))
            rewritten = without_calls(connection, query, trees[0])
            if rewritten is not None:
                # What runs is what was checked, whatever became of the tree in between.
                tree = tree_of(connection, rewritten.text)
                reached = reach(query, tree, rewritten.tables)
                return Question(query, rewritten.text, reached, calls=rewritten.calls)
            return Question(query, query, reach(query, trees[0]))
        pivot = marked(connection, query) if trees is None else None
        if pivot is None:
            raise QueryRefused(query, _kinds(connection, query))
        return Question(query, query, reach(query, tree_of(connection, pivot.text)), pivot)


def run_query(
    connection: duckdb.DuckDBPyConnection,
    question: Question,
    params: Params,
    position: int | None = None,
    timeout_s: float | None = None,
) -> SqlResult:
    """The result of a user's query, as of a position if one is given. Changes nothing.

    Raises QueryRefused, QueryFailed or QueryTimedOut.
    """
    if position is None:
        return _result(connection, question, params, timeout_s)
    with shown_as_of(connection, position, question.reach.views):
        return _result(connection, question, params, timeout_s)


def _result(
    connection: duckdb.DuckDBPyConnection,
    question: Question,
    params: Params,
    timeout_s: float | None,
) -> SqlResult:
    query = question.query
    with _told_as_ours(query):
        bound = _bound(params)
        _check_bound(question, bound)
        with _reading(connection):
            table = _unless_stopped(
                connection, lambda: _answer(connection, question, bound), timeout_s
            )
    if table is None:
        raise QueryTimedOut(query, timeout_s or 0)
    return SqlResult(table)


def _answer(
    connection: duckdb.DuckDBPyConnection,
    question: Question,
    params: list[Any] | dict[str, Any] | None,
) -> Table:
    if question.marked is None:
        # A list and a dict both bind; only `sql` streams.
        return _fetch(connection.sql(question.text, params=params))

    def ask(text: str) -> list[Any]:
        rows = _fetch(connection.sql(_checked_again(connection, question, text)))
        return list(rows.column(0).to_pylist())

    text = filled(connection, question.query, question.marked, ask)
    found = _fetch(connection.sql(_checked_again(connection, question, text), params=params))
    names, mark = found.column_names, question.marked.mark
    return found.select([place for place, name in enumerate(names) if mark not in name])


def _checked_again(connection: duckdb.DuckDBPyConnection, question: Question, text: str) -> str:
    """The text, which was made of a checked query; it may not reach further than that."""
    if not reach(question.query, tree_of(connection, text)).views <= question.reach.views:
        raise QueryRefused(question.query, "a PIVOT that cannot be read safely")
    return text


def _kinds(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    """What a query is that is not one SELECT. Raises duckdb.Error if it is not SQL."""
    statements = connection.extract_statements(query)
    try:
        kinds = [statement.type for statement in statements]
    except ValueError:  # CONNECT: the parser knows it, its Python face does not.
        return "a statement of another kind"
    if kinds == [duckdb.StatementType.MULTI]:
        return "a PIVOT whose values cannot be found: write ON column IN ('a', 'b')"
    if kinds == [duckdb.StatementType.SELECT]:
        return "a SELECT that DuckDB cannot show as a tree"
    return f"{len(kinds)} statements ({', '.join(kind.name for kind in kinds) or 'nothing'})"


@contextmanager
def _told_as_ours(query: str) -> Iterator[None]:
    """Inside the block every failure but an interrupt is told as ours."""
    try:
        yield
    except RunloreError:
        raise
    except duckdb.PermissionException as error:
        raise QueryRefused(query, "one that leaves the database") from error
    except duckdb.TransactionException as error:
        raise QueryRefused(query, f"one that writes ({error})") from error
    except Exception as error:
        raise QueryFailed(query, str(error) or type(error).__name__) from error


def may_be_damage(error: Exception) -> bool:
    """Whether the database or a segment may be the reason, and not the query."""
    if not isinstance(error, QueryFailed) or not isinstance(error.__cause__, duckdb.Error):
        return False
    reason = error.reason
    return not reason.startswith(_OF_QUERIES) or any(sign in reason for sign in _OF_SEGMENTS)


# By their text, because a stream's errors have lost their class. What a damaged Parquet file makes
# DuckDB say has no class in many cases: "TProtocolException: Invalid data".
_OF_QUERIES: Final = tuple(
    f"{kind} Error"
    for kind in (
        "Binder",
        "Catalog",
        "Constraint",
        "Conversion",
        "Decimal",
        "Dependency",
        "Divide by Zero",
        "Expression",
        "INTERRUPT",
        "Incompatible Type",
        "Invalid Input",
        "Invalid type",
        "Mismatch Type",
        "Not implemented",
        "Object Size",
        "Out of Memory",
        "Out of Range",
        "Parameter Not Allowed",
        "Parameter Not Resolved",
        "Parser",
        "Permission",
        "Planner",
        "Sequence",
        "Settings",
        "Syntax",
        "TransactionContext",
        "Unknown Type",
    )
)
_OF_SEGMENTS: Final = ("magic bytes", "Failed to read file", "Parquet", ".parquet")


def _check_bound(question: Question, params: list[Any] | dict[str, Any] | None) -> None:
    """DuckDB would look for a parameter that is not given among the connection's variables."""
    given = params if isinstance(params, dict) else map(str, range(1, len(params or ()) + 1))
    missing = question.reach.parameters.difference(given)
    if missing:
        raise QueryFailed(question.query, f"params gives no value for {', '.join(sorted(missing))}")


@contextmanager
def _reading(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    try:  # Includes BEGIN: an interrupt may come right after it.
        connection.execute("BEGIN TRANSACTION READ ONLY")
        yield
    except BaseException:
        stop(connection)
        raise
    finally:
        with suppress(duckdb.TransactionException):
            connection.execute("ROLLBACK")


def _bound(params: object) -> list[Any] | dict[str, Any] | None:
    if isinstance(params, Mapping):
        return dict(params) or None
    if params is None or (isinstance(params, Sequence) and not isinstance(params, str | bytes)):
        return list(params or ()) or None
    raise TypeError(f"params is a {type(params).__name__}; it takes a list or a dict")


def _unless_stopped(
    connection: duckdb.DuckDBPyConnection, fetch: Callable[[], Table], timeout_s: float | None
) -> Table | None:
    """The whole result, or None after the timeout. DuckDB does not look for Ctrl-C while it
    streams, so another thread waits for it, and this one can be interrupted.
    """
    answer: Future[Table] = Future()

    def work() -> None:
        try:
            answer.set_result(fetch())
        except BaseException as error:
            answer.set_exception(error)

    thread = threading.Thread(target=work, name="runlore-sql", daemon=True)
    try:
        thread.start()
        raise_what_was_dropped()
        done, _ = wait([answer], timeout_s)
    except BaseException:  # Of a signal handler.
        _stop(connection, thread, answer)
        raise
    if done:
        return answer.result()
    _stop(connection, thread, answer)
    return None


def _stop(
    connection: duckdb.DuckDBPyConnection, thread: threading.Thread, answer: Future[Table]
) -> None:
    """Interrupts until the thread has ended: an interrupt before the query's begin is lost."""
    for attempt in count():
        with suppress(BaseException):  # Of signal handlers: once is enough.
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
