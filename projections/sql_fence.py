"""The fence around SQL of users: what a query can reach, decided on its parsed tree.

DuckDB gives the tree of a SELECT as JSON. Every object in it must be of a listed kind, every table
a view or a CTE in scope, every function listed by its name (`sql_allowed.py`). Whatever a newer
DuckDB brings is refused until somebody lists it. The queries of the views are not looked at: a
user names a view, and only it names the tables behind.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from runlore.projections.driver import duckdb
from runlore.projections.sql_allowed import (
    AGGREGATES,
    CALLS_AGGREGATE,
    EXPRESSIONS,
    FUNCTIONS,
    MODIFIERS,
    QUERY_NODES,
    TABLE_FUNCTIONS,
    TABLE_NODES,
)
from runlore.projections.sql_errors import QueryFailed, QueryRefused
from runlore.projections.views import view_names

Node = dict[str, Any]
Scope = frozenset[str]
"""The names of the CTEs that a part of a query can see."""

_KINDS: Final = QUERY_NODES | TABLE_NODES | MODIFIERS
_SERIALIZE: Final = (
    "SELECT json_serialize_sql(?, skip_null := true, skip_empty := true, skip_default := true)"
)
_VIEWS: Final = frozenset(view_names())
_OF_DUCKDB: Final = ("duckdb_", "pg_", "pragma_", "sqlite_")
SHOW_VIEWS: Final = "SELECT unnest([{}]) AS name".format(
    ", ".join(f"'{v}'" for v in sorted(_VIEWS))
)
"""What SHOW TABLES stands for: DuckDB's own shows tables, too, and views of now."""


class Reach(NamedTuple):
    """What a query reads that lies outside of it: views, and parameters."""

    views: frozenset[str]
    parameters: frozenset[str]


def parsed(connection: duckdb.DuckDBPyConnection, query: str) -> list[Node] | None:
    """The trees of the statements; None if one of them is not a SELECT, or none is SQL."""
    query.encode()  # Or else a lone surrogate would fail with a puzzle.
    answer = connection.execute(_SERIALIZE, [query]).fetchall()[0][0]
    try:
        found = json.loads(answer)
    except RecursionError as error:
        raise QueryRefused(query, "one that is nested too deeply") from error
    return None if found["error"] else found.get("statements", [])


def tree_of(connection: duckdb.DuckDBPyConnection, text: str) -> Node:
    """The tree of a text that was made here. Raises QueryFailed."""
    trees = parsed(connection, text)
    if trees is None or len(trees) != 1:
        raise QueryFailed(text, "it is not one SELECT any more")
    return trees[0]


def shows_tables(tree: Node) -> bool:
    """Whether it is SHOW TABLES, for which SHOW_VIEWS is run."""
    source = tree["node"].get("from_table", {})
    return (
        source.get("show_type") == "SHOW_SPECIAL"
        and source["qualified_name"]["path"] == ['"tables"']
        and "where_clause" not in tree["node"]
    )


def reach(query: str, tree: Node, made: Scope = frozenset()) -> Reach:
    """What the query with this tree reads. Raises QueryRefused if that is not allowed.

    `made` are the names of tables that are made for this query alone.
    """
    return _Walk(query, made).reach(tree)


class _Walk:
    """A walk through all parts of a tree, without recursion: queries may be nested deeply."""

    def __init__(self, query: str, made: Scope) -> None:
        self._query = query
        self._made = made
        self._views: set[str] = set()
        self._parameters: set[str] = set()

    def reach(self, tree: Node) -> Reach:
        waiting: list[tuple[Any, Scope]] = [(tree, frozenset())]
        while waiting:
            found, scope = waiting.pop()
            if isinstance(found, dict):
                waiting.extend(self._parts(found, scope))
            elif isinstance(found, list):
                waiting.extend((part, scope) for part in found)
        return Reach(frozenset(self._views), frozenset(self._parameters))

    def _parts(self, node: Node, scope: Scope) -> Iterator[tuple[Any, Scope]]:
        """Checks one object; gives its parts, and the CTEs that each of them can see."""
        kind = node.get("type")
        if "class" in node:
            self._check_expression(node)
        elif isinstance(kind, str):
            if kind not in _KINDS:
                raise self._refused(f"a part of the kind {kind}")
            if kind == "BASE_TABLE":
                self._check_table(node, scope)
            elif kind == "SHOW_REF":
                self._check_show(node)
            elif kind == "TABLE_FUNCTION":
                self._check_function(node["function"], TABLE_FUNCTIONS, "table function")
                parts = [*node.values(), *node["function"].values()]
                return ((part, scope) for part in parts if part is not node["function"])
            elif kind in QUERY_NODES:
                return self._parts_of_query(node, kind, scope)
        return ((part, scope) for part in node.values())

    def _parts_of_query(self, node: Node, kind: str, scope: Scope) -> Iterator[tuple[Any, Scope]]:
        """The parts of a query node: a CTE sees those before it, and itself if it is recursive."""
        for entry in node.get("cte_map", {}).get("map", ()):
            name = _folded(entry["key"])
            if name.startswith(_OF_DUCKDB):  # Nobody needs to know how DuckDB would resolve it.
                raise self._refused(f"a WITH that names a query {name!r}, as DuckDB's own tables")
            yield entry["value"], scope
            scope |= {name}
        for key, part in node.items():
            if kind == "RECURSIVE_CTE_NODE" and key == "right":
                yield part, scope | {_folded(node["cte_name"])}
            elif key != "cte_map":
                yield part, scope

    # --- expressions ----------------------------------------------------------------------

    def _check_expression(self, node: Node) -> None:
        group, kind = node["class"], node.get("type")
        if kind not in EXPRESSIONS.get(group, ()):
            raise self._refused(f"an expression of the kind {group} {kind}")
        if group in ("FUNCTION", "WINDOW"):
            self._check_function(node, FUNCTIONS, "function")
        elif group == "PARAMETER":
            self._parameters.add(node["identifier"])
        elif group == "TYPE" and len(node["qualified_name"]["path"]) > 1:
            raise self._refused(f"the type {'.'.join(node['qualified_name']['path'])}")

    def _check_function(self, node: Node, listed: frozenset[str], what: str) -> None:
        path = node["qualified_name"]["path"]
        name = _folded(path[-1])  # Before it stands what a method is called on, or a schema.
        if name not in listed or (listed is TABLE_FUNCTIONS and len(path) > 1):
            raise self._refused(
                f"the {what} {'.'.join(path)!r}, which it does not offer{_nearest(name, listed)}"
            )
        if node.get("export_state"):
            raise self._refused("the state of an aggregate (EXPORT_STATE)")
        if name in CALLS_AGGREGATE:
            self._check_named_aggregate(node, path)

    def _check_named_aggregate(self, node: Node, path: list[str]) -> None:
        arguments = node.get("arguments", ())
        called = arguments[1]["expression"].get("literal", {}) if len(arguments) > 1 else {}
        plain = len(path) == 1 and not any(argument.get("name") for argument in arguments)
        name = _folded(called.get("text", ""))
        if not plain or called.get("kind") != "STRING" or name not in AGGREGATES:
            raise self._refused(
                f"{path[-1]}() without a literal that names an aggregate function, as in "
                f"{path[-1]}(list, 'sum'){_nearest(name, AGGREGATES) if name else ''}"
            )

    # --- tables ---------------------------------------------------------------------------

    def _check_table(self, node: Node, scope: Scope) -> None:
        path = node["qualified_name"]["path"]
        name = _folded(path[-1])
        if "at_clause" in node:
            raise self._refused(f"the table {'.'.join(path)!r} AT a time: use as_of(...).sql(...)")
        if len(path) == 1:
            if name in scope or name in self._made:
                return
            if name in _VIEWS:
                self._views.add(name)
                return
        elif path[:-1] == ["recurring"] and name in scope:
            return
        raise self._refused(
            f"the table {'.'.join(path)!r}, which is not a view{_nearest(name, _VIEWS | scope)}"
        )

    def _check_show(self, node: Node) -> None:
        shown, path = node.get("show_type"), node["qualified_name"].get("path", [])
        if shown in ("DESCRIBE", "SUMMARY", "SHOW") and "query" in node and not path:
            return
        if shown == "SHOW" and len(path) == 1 and _folded(path[0]) in _VIEWS:
            self._views.add(_folded(path[0]))
            return
        raise self._refused("a SHOW inside a query, or of something else than TABLES or a view")

    def _refused(self, found: str) -> QueryRefused:
        return QueryRefused(self._query, found)


def _folded(name: str) -> str:
    """The name as DuckDB compares names: without the case of ASCII letters, and only of these.

    For Python, the sign for kelvins is a capital `k`: a CTE that is spelt with it would seem to
    be the table that is spelt with the letter.
    """
    return name.encode().lower().decode()


def _nearest(name: str, listed: frozenset[str]) -> str:
    found = get_close_matches(name, sorted(listed), n=1, cutoff=0.65)
    return f" (the nearest is {found[0]!r})" if found else ""
