"""`FROM runs_table(...)` in SQL of users: the wide table of runs as if it were a table function.

A macro cannot be one: the columns of a table are known only when its runs have been found, and
DuckDB expands a macro before that (a PIVOT without its values is no part of one). So each call in
the parsed query becomes a table of its own, whose name nobody can guess; it is made for the query,
and gone after it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final, NamedTuple
from uuid import uuid4

from runlore.domain.errors import InvalidInput, InvalidType
from runlore.projections.conditions import Conditions
from runlore.projections.driver import duckdb
from runlore.projections.filters import RunFilter
from runlore.projections.run_cells import registered
from runlore.projections.runs_table import TableOptions, runs_table
from runlore.projections.sql_errors import QueryFailed, QueryRefused

NAME: Final = "runs_table"
USE: Final = "runs_table('filter', columns := ['id', 'm.loss'], metrics := 'last')"
_CALLS_MAX: Final = 8
_ARGUMENTS: Final = ("filter", "columns", "metrics", "include_children")


class Call(NamedTuple):
    """A call of runs_table: the table that takes its place, and what that holds."""

    table: str
    which: RunFilter
    options: TableOptions


class Rewritten(NamedTuple):
    """A query with tables in the place of calls: its text, which is yet to be checked."""

    text: str
    calls: tuple[Call, ...]

    @property
    def tables(self) -> frozenset[str]:
        """The names of the tables."""
        return frozenset(call.table for call in self.calls)


def without_calls(
    connection: duckdb.DuckDBPyConnection, query: str, tree: dict[str, Any]
) -> Rewritten | None:
    """The query with a table for each call of runs_table, or None if it has none.

    The tree is changed in place. Raises QueryRefused for arguments that are not constants,
    QueryFailed for a filter or columns that do not exist.
    """
    if NAME not in query.casefold():
        return None
    calls = [_replaced(query, node) for node in _nodes(tree)]
    if not calls:
        return None
    if len(calls) > _CALLS_MAX:
        raise QueryRefused(query, f"one with more than {_CALLS_MAX} calls of {NAME}")
    statements = json.dumps({"error": False, "statements": [tree]})
    [(text,)] = connection.execute("SELECT json_deserialize_sql(?)", [statements]).fetchall()
    return Rewritten(str(text), tuple(calls))


@contextmanager
def made(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    calls: Sequence[Call],
    conditions_of: Callable[[RunFilter], Conditions],
) -> Iterator[None]:
    """Inside the block the tables of the calls are there. Raises QueryFailed."""
    with ExitStack() as stack:
        for call in calls:
            try:
                table = runs_table(connection, conditions_of(call.which), call.options)
            except InvalidInput as error:
                raise QueryFailed(query, f"{NAME}: {error}") from error
            stack.enter_context(registered(connection, call.table, table))
        yield


def _nodes(tree: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls, in no order; without recursion, as queries may be nested deeply."""
    found, waiting = [], [tree]
    while waiting:
        node: Any = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            if node.get("type") == "TABLE_FUNCTION" and "class" not in node:
                path = node["function"].get("qualified_name", {}).get("path", ())
                if len(path) == 1 and path[0].lower() == NAME:
                    found.append(node)
                    continue
            waiting.extend(node.values())
    return found


def _replaced(query: str, node: dict[str, Any]) -> Call:
    """Turn a call into a table in its place."""
    which, options = _arguments(query, node.pop("function").get("arguments", ()))
    table = f"{NAME}_{uuid4().hex}"
    node.update(type="BASE_TABLE", table_name=table, qualified_name={"path": [table]})
    node.setdefault("alias", NAME)
    return Call(table, which, options)


def _arguments(query: str, arguments: Sequence[dict[str, Any]]) -> tuple[RunFilter, TableOptions]:
    given: dict[str, Any] = {}
    for place, argument in enumerate(arguments):
        name = str(argument.get("name") or (_ARGUMENTS[0] if place == 0 else "")).lower()
        if name not in _ARGUMENTS or name in given:
            raise QueryRefused(query, f"{NAME} with other arguments than in {USE}")
        given[name] = _constant(query, argument["expression"])
    try:
        which = RunFilter(
            where=given.get("filter"),
            include_children=_flag(query, given.get("include_children", False)),
        )
        return which, TableOptions.of(
            given.get("columns"), given.get("metrics", "last"), None, None
        )
    except (InvalidInput, InvalidType) as error:
        raise QueryFailed(query, f"{NAME}: {error}") from error


def _constant(query: str, expression: dict[str, Any]) -> Any:
    """The value of a text, a flag, NULL, or a list of texts."""
    if expression.get("type") == "VALUE_CONSTANT":
        literal = expression.get("literal", {})
        match literal.get("kind"):
            case "STRING":
                return literal.get("text", "")
            case "BOOLEAN":
                return literal.get("text") == "true"
            case "NULL_LITERAL":
                return None
    elif expression.get("function_name") == "list_value":
        parts = [_constant(query, one["expression"]) for one in expression.get("arguments", ())]
        if all(isinstance(part, str) for part in parts):
            return parts
    raise QueryRefused(query, f"{NAME} with arguments that are not constants, as in {USE}")


def _flag(query: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise QueryRefused(query, f"{NAME} with include_children other than true or false")
    return value
