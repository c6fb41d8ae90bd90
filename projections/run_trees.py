"""Matching runs in their trees: with the runs above them, each below its parent."""

from __future__ import annotations

from typing import Final

from runlore.projections.conditions import Conditions, Sql
from runlore.projections.driver import duckdb
from runlore.projections.trees import runs_then

# A path is the run_nos from the root on, 8 hexadecimal digits each.
_KEPT: Final = """
SELECT DISTINCT ('0x' || substr(m.path, 8 * m.level + 1, 8))::BIGINT AS run_no
FROM (
    SELECT r.path, unnest(range(r.depth + 1)) AS level
    FROM {runs} r
    JOIN store.run_states s ON s.run_no = r.run_no AND {current}
    {where}
) m
"""
_PAGE: Final = """
WITH kept AS ({kept}), ranked AS (
    SELECT r.run_no, r.root_no, r.path,
           row_number() OVER (ORDER BY {order} s.begun_at DESC, r.run_no DESC) AS rank
    FROM {runs} r SEMI JOIN kept USING (run_no)
    JOIN store.run_states s ON s.run_no = r.run_no AND {current}
)
SELECT t.run_no, row_number() OVER (ORDER BY o.rank, t.path) AS place
FROM ranked t JOIN ranked o ON o.run_no = t.root_no
ORDER BY place
{limit}
"""


def tree_page(
    connection: duckdb.DuckDBPyConnection, conditions: Conditions, order: Sql, limit: str
) -> Sql:
    """The query for the numbers and places of the matching runs and of all above them.

    Trees come in the order of their roots, children below their parent in order of creation.
    """
    runs, current = runs_then(connection, conditions.as_of), conditions.current("s")
    text = _PAGE.format(
        kept=_kept(runs, conditions),
        runs=runs,
        current=current,
        order=f"{order.text}, " if order.text else "",
        limit=limit,
    )
    return Sql(text, (*conditions.params, *order.params))


def tree_count(connection: duckdb.DuckDBPyConnection, conditions: Conditions) -> int:
    """The number of the matching runs and of all above them."""
    kept = _kept(runs_then(connection, conditions.as_of), conditions)
    found = connection.execute(f"SELECT count(*) FROM ({kept})", conditions.params).fetchall()
    return int(found[0][0])


def _kept(runs: str, conditions: Conditions) -> str:
    return _KEPT.format(runs=runs, current=conditions.current("s"), where=conditions.where())
