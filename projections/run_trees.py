"""Matching runs in their trees: with the runs above them, each below its parent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from runlore.projections.conditions import Conditions, Sql
from runlore.projections.driver import duckdb
from runlore.projections.trees import runs_then


class Branches(NamedTuple):
    """The branches of trees that are open: all, or with `closed` none, except those of `other`.

    `other` holds ids of runs; one that is unknown changes nothing.
    """

    closed: bool = False
    other: Sequence[str] = ()


ALL_OPEN: Final = Branches()

# A path is the run_nos from the root on, 8 hexadecimal digits each.
_ABOVE: Final = "('0x' || substr({path}, 8 * {level} + 1, 8))::BIGINT"
_KEPT: Final = """
SELECT DISTINCT {above} AS run_no
FROM (
    SELECT r.path, unnest(range(r.depth + 1)) AS level
    FROM {runs} r
    JOIN store.run_states s ON s.run_no = r.run_no AND {current}
    {where}
) m
"""
_SEEN: Final = """
WITH kept AS ({kept}), other AS (
    SELECT path FROM {runs} WHERE run_id IN (SELECT unnest(?::VARCHAR[]))
), seen AS (
    SELECT r.run_no, r.depth, r.path FROM {runs} r SEMI JOIN kept USING (run_no)
    WHERE (SELECT count(*) FROM other o WHERE starts_with(r.path, o.path) AND r.path <> o.path)
          = {open}
)
"""
# Siblings stand in the order of the table: a run's place is made of the ranks of all above it.
_PAGE: Final = """
, ranked AS (
    SELECT r.run_no, row_number() OVER (ORDER BY {order} s.begun_at DESC, r.run_no DESC) AS rank
    FROM {runs} r SEMI JOIN seen USING (run_no)
    JOIN store.run_states s ON s.run_no = r.run_no AND {current}
), placed AS (
    SELECT l.run_no, string_agg(printf('%08x', o.rank), '' ORDER BY l.level) AS ranks
    FROM (SELECT run_no, path, unnest(range(depth + 1)) AS level FROM seen) l
    JOIN ranked o ON o.run_no = {above}
    GROUP BY l.run_no
)
SELECT run_no, {total} FROM placed ORDER BY ranks {limit}
"""
_BELOW: Final = """
WITH kept AS ({kept})
SELECT a.run_id, count(*)
FROM (
    SELECT r.path, unnest(range(r.depth)) AS level FROM {runs} r SEMI JOIN kept USING (run_no)
) l
JOIN {runs} a ON a.run_no = {above}
WHERE a.run_id IN (SELECT unnest(?::VARCHAR[]))
GROUP BY a.run_id
"""


def tree_page(
    connection: duckdb.DuckDBPyConnection,
    conditions: Conditions,
    branches: Branches,
    order: Sql,
    total: str,
    limit: str,
) -> Sql:
    """The query for the numbers of the matching runs and of all above them, in order.

    `total` is another column, of all rows that there are without `limit`. Runs below a closed
    branch are left out. Roots and the children of each run come in the order of the table.
    """
    seen = _seen(connection, conditions, branches)
    text = seen.text + _PAGE.format(
        runs=runs_then(connection, conditions.as_of),
        current=conditions.current("s"),
        above=_ABOVE.format(path="l.path", level="l.level"),
        order=f"{order.text}, " if order.text else "",
        total=total,
        limit=limit,
    )
    return Sql(text, (*seen.params, *order.params))


def tree_count(
    connection: duckdb.DuckDBPyConnection, conditions: Conditions, branches: Branches
) -> int:
    """The number of runs on all pages of `tree_page`."""
    seen = _seen(connection, conditions, branches)
    found = connection.execute(f"{seen.text} SELECT count(*) FROM seen", seen.params).fetchall()
    return int(found[0][0])


def runs_below(
    connection: duckdb.DuckDBPyConnection, conditions: Conditions, run_ids: Sequence[str]
) -> dict[str, int]:
    """By run, the number of runs below it that match, or are above matching ones; not 0."""
    query = _BELOW.format(
        kept=_kept(connection, conditions),
        runs=runs_then(connection, conditions.as_of),
        above=_ABOVE.format(path="l.path", level="l.level"),
    )
    return dict(connection.execute(query, [*conditions.params, list(run_ids)]).fetchall())


def _seen(connection: duckdb.DuckDBPyConnection, conditions: Conditions, branches: Branches) -> Sql:
    text = _SEEN.format(
        kept=_kept(connection, conditions),
        runs=runs_then(connection, conditions.as_of),
        open="r.depth" if branches.closed else "0",
    )
    return Sql(text, (*conditions.params, list(branches.other)))


def _kept(connection: duckdb.DuckDBPyConnection, conditions: Conditions) -> str:
    return _KEPT.format(
        above=_ABOVE.format(path="m.path", level="m.level"),
        runs=runs_then(connection, conditions.as_of),
        current=conditions.current("s"),
        where=conditions.where(),
    )
