"""Points without those that a rewind made void, now or as of a position.

A run that goes back to a step is about to log later steps again: from the rewind's position on,
points of later steps that came before it are not shown. They stay where they are, as they are still
shown as of earlier positions. Most logs have no rewind, and pay nothing for them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from runlore.projections.driver import duckdb

ALL_POINTS: Final = "store.metric_points"
VALID_POINTS: Final = "store.valid_points"
"""The view of the points that are valid now."""

_VALID: Final = """
SELECT p.* FROM store.metric_points p
ANTI JOIN store.rewinds w
ON w.run_no = p.run_no AND w.step < p.step AND w.position > p.position AND {until}
"""


def show_valid_points(connection: duckdb.DuckDBPyConnection) -> None:
    """Makes the view of valid points look at rewinds. Call it when there are any."""
    valid = _VALID.format(until="true")
    connection.execute(f"CREATE OR REPLACE VIEW {VALID_POINTS} AS {valid}")


def points_then(
    connection: duckdb.DuckDBPyConnection,
    as_of: int | None,
    run_nos: Collection[int] | None = None,
) -> str:
    """The source of points at a position or earlier that were valid there: a view, or a query.

    `run_nos` are the runs that are asked for, if not all. Only the view has the points of a run and
    series in the order of the log.
    """
    until = "true" if as_of is None else f"w.position <= {as_of:d}"
    of_runs = "" if run_nos is None else "AND list_contains(?, w.run_no)"
    some = connection.execute(
        f"SELECT 1 FROM store.rewinds w WHERE {until} {of_runs} LIMIT 1",
        [] if run_nos is None else [list(run_nos)],
    ).fetchall()
    return f"({_VALID.format(until=until)})" if some else ALL_POINTS


def rewound_after(connection: duckdb.DuckDBPyConnection, position: int) -> list[int]:
    """The runs with a rewind after the position."""
    rows = connection.execute(
        f"SELECT DISTINCT run_no FROM store.rewinds WHERE position > {position:d} ORDER BY run_no"
    ).fetchall()
    return [run_no for (run_no,) in rows]
