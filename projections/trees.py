"""Runs in their trees, now or as of a position.

A run whose parent is unknown is a root; once the parent arrives, it and all below it are there.
That is rare (a run was imported before its parent), so rows of `store.runs` have the current place
and, as `attached_position`, since when; an earlier place is computed when it is asked for.
"""

from __future__ import annotations

from typing import Final

from runlore.projections.driver import duckdb

RUNS: Final = "store.runs"

# A run that came below its parent later was a root until then, and those below it in its tree.
_AS_OF: Final = """
SELECT r.* REPLACE (
    CASE WHEN r.attached_position > {at:d} THEN NULL ELSE r.parent_no END AS parent_no,
    CASE WHEN r.attached_position > {at:d} THEN NULL ELSE r.parent_id END AS parent_id,
    coalesce(o.run_no, r.root_no) AS root_no,
    coalesce(o.run_id, r.root_id) AS root_id,
    r.depth - coalesce(o.depth, 0) AS depth,
    substr(r.path, 8 * coalesce(o.depth, 0) + 1) AS path,
    CASE WHEN r.attached_position > {at:d} THEN r.parent_id ELSE r.awaited_id END AS awaited_id,
    CASE WHEN r.attached_position <= {at:d} THEN r.attached_position END AS attached_position)
FROM store.runs r
LEFT JOIN (
    SELECT x.run_no AS of_no, arg_max(l.run_no, l.depth) AS run_no,
           arg_max(l.run_id, l.depth) AS run_id, max(l.depth) AS depth
    FROM store.runs x JOIN store.runs l
    ON l.root_no = x.root_no AND starts_with(x.path, l.path)
    WHERE l.attached_position > {at:d} GROUP BY x.run_no
) o ON o.of_no = r.run_no
WHERE r.position <= {at:d}
"""


def runs_as_of(position: int) -> str:
    """The query for the rows of `store.runs` as they were at a position."""
    return _AS_OF.format(at=position)


def runs_then(connection: duckdb.DuckDBPyConnection, as_of: int | None) -> str:
    """The source of runs: their table, or a query if some had another place at the position."""
    if as_of is not None:
        late = connection.execute(
            "SELECT 1 FROM store.runs WHERE attached_position > ? LIMIT 1", [as_of]
        ).fetchall()
        if late:
            return f"({runs_as_of(as_of)})"
    return RUNS
