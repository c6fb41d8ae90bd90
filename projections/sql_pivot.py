"""PIVOT whose columns are the values that are found: `PIVOT tags ON key USING first(value)`.

DuckDB reads it as three statements, the first of which makes a type of the distinct values. Here
nothing is made: a mark stands for the values while the query is checked, the distinct values are
asked for, and the query is run with them in the place of the mark. Whatever is put into the text,
the text that runs is one that was parsed and checked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, Final, NamedTuple
from uuid import uuid4

from runlore.projections.driver import duckdb
from runlore.projections.sql_errors import QueryFailed, QueryRefused
from runlore.projections.sql_fence import Node, parsed, tree_of

MAX_VALUES: Final = 10_000

_PIVOTS: Final = ("PIVOT", "PIVOT_WIDER")
_ENDS: Final = ("USING", "GROUP", "ORDER", "LIMIT", "UNION", "EXCEPT", "INTERSECT", "OFFSET")
_DISTINCT: Final = "SELECT DISTINCT CAST(x AS VARCHAR) FROM y WHERE x IS NOT NULL ORDER BY 1"

Ask = Callable[[str], list[Any]]
"""Checks and runs a query, and gives its only column."""


class Marked(NamedTuple):
    """A query in which texts stand for the values of pivots.

    They begin with the mark, which nobody can guess: else a value could bring the next one's text.
    """

    text: str
    mark: str


class _Token(NamedTuple):
    start: int
    stop: int
    text: str
    depth: int


def marked(connection: duckdb.DuckDBPyConnection, query: str) -> Marked | None:
    """The query with marks for the values of each pivot that names none; None if there is none."""
    if "pivot" not in query.casefold():
        return None
    raw, mark = query.encode(), f"__values_{uuid4().hex}_"
    tokens = _tokens(query, raw)
    changes: list[tuple[int, int, bytes]] = []
    for place, token in enumerate(tokens):
        if token.text in _PIVOTS:
            for element in _elements(tokens, place):
                start, stop = element[0].start, element[-1].stop
                said = b"(%b) IN ('%b%d')" % (raw[start:stop], mark.encode(), len(changes))
                changes.append((start, stop, said))
    for start, stop, said in sorted(changes, reverse=True):
        raw = raw[:start] + said + raw[stop:]
    asked = Marked(raw.decode(), mark)
    trees = parsed(connection, asked.text) if changes else None
    if trees is None or len(trees) != 1 or len(list(_pivots(trees[0], mark))) != len(changes):
        return None
    return asked


def filled(connection: duckdb.DuckDBPyConnection, query: str, asked: Marked, ask: Ask) -> str:
    """The marked query with the values that are found; a mark stays where there are none.

    `query` is what the user wrote.
    """
    text, mark = asked
    left: set[str] = set()  # The marks that stay.
    while True:
        tree = tree_of(connection, text)
        pivot = next((one for one in _pivots(tree, mark) if one.mark not in left), None)
        if pivot is None:
            return text
        distinct = _distinct(connection, pivot)
        if distinct is None:
            raise QueryRefused(
                query,
                "a PIVOT over parameters without its values: write ON column IN ('a', 'b')",
            )
        values = ask(distinct)
        if len(values) > MAX_VALUES:
            raise QueryFailed(
                query, f"PIVOT would make {len(values):,} columns, at most {MAX_VALUES:,}"
            )
        if values:
            shown = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
            text = text.replace(f"'{pivot.mark}'", shown)
        else:
            left.add(pivot.mark)


# --- the text ----------------------------------------------------------------------------------


def _tokens(query: str, raw: bytes) -> list[_Token]:
    """The tokens with their places in the bytes, and how many brackets are open at each."""
    starts = [(start, kind) for start, kind in duckdb.tokenize(query)]
    tokens = []
    depth = 0
    for (start, kind), (stop, _) in zip(starts, [*starts[1:], (len(raw), None)], strict=True):
        if kind == duckdb.token_type.comment:
            continue
        text = raw[start:stop].decode(errors="replace").rstrip()
        depth -= text in (")", "]", "}")
        tokens.append(_Token(start, start + len(text.encode()), text.upper(), depth))
        depth += text in ("(", "[", "{")
    return tokens


def _elements(tokens: list[_Token], place: int) -> Iterator[list[_Token]]:
    """What the PIVOT at a place turns into columns and names no values for."""
    depth = tokens[place].depth
    own = []
    for token in tokens[place + 1 :]:
        another = token.depth == depth and token.text in _PIVOTS
        if token.depth < depth or token.text == ";" or another:
            break
        own.append(token)
    # The sources of a PIVOT may be joined, and so have an ON as well: its own is the last.
    ons = [n for n, token in enumerate(own) if token.depth == depth and token.text == "ON"]
    element: list[_Token] = []
    for token in own[ons[-1] + 1 :] if ons else ():
        if token.depth == depth and token.text in _ENDS:
            break
        if token.depth == depth and token.text == ",":
            yield from _without_values(element, depth)
            element = []
        else:
            element.append(token)
    yield from _without_values(element, depth)


def _without_values(element: list[_Token], depth: int) -> Iterator[list[_Token]]:
    if element and not any(token.depth == depth and token.text == "IN" for token in element):
        yield element


# --- the tree ----------------------------------------------------------------------------------


class _Pivot(NamedTuple):
    """A pivot with a mark: of what its source gives, where these CTEs can be seen."""

    mark: str
    source: Node
    column: Node
    ctes: tuple[Node, ...]


def _pivots(node: Any, mark: str, ctes: tuple[Node, ...] = ()) -> Iterator[_Pivot]:
    """The pivots with a mark, those first that others read."""
    if isinstance(node, list):
        for part in node:
            yield from _pivots(part, mark, ctes)
    elif isinstance(node, dict):
        for entry in node.get("cte_map", {}).get("map", ()):
            yield from _pivots(entry["value"], mark, ctes)
            ctes = (*(cte for cte in ctes if cte["key"] != entry["key"]), entry)
        for key, part in node.items():
            if key != "cte_map":
                yield from _pivots(part, mark, ctes)
        if node.get("type") == "PIVOT":
            for column in node.get("pivots", ()):
                own = _mark_of(column)
                if own.startswith(mark):
                    yield _Pivot(own, node["source"], column["pivot_expressions"][0], ctes)


def _mark_of(column: Node) -> str:
    """What the column is turned by, if that is one text."""
    entries = column.get("entries", ())
    if len(entries) != 1 or len(column.get("pivot_expressions", ())) != 1:
        return ""
    return str(entries[0].get("star_expr", {}).get("literal", {}).get("text", ""))


def _distinct(connection: duckdb.DuckDBPyConnection, pivot: _Pivot) -> str | None:
    """The query for the values; None if it has parameters, whose values stand elsewhere."""
    tree = tree_of(connection, _DISTINCT)
    node = tree["node"]
    node["cte_map"] = {"map": list(pivot.ctes)}
    node["from_table"] = pivot.source
    node["select_list"][0]["child"] = deepcopy(pivot.column)
    node["where_clause"]["children"] = [pivot.column]
    text = json.dumps({"error": False, "statements": [tree]})
    if '"VALUE_PARAMETER"' in text:
        return None
    [(asked,)] = connection.execute("SELECT json_deserialize_sql(?)", [text]).fetchall()
    return str(asked)
