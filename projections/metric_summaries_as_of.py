"""`metric_latest` as it was at an earlier position, without reading all points.

A series without newer values stands in the table as it stood then. Only those that began
before and went on afterwards (of the runs that logged at that time) are summed up again, in the
same way and so to the same bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import duckdb

from runlore.projections.portions import portions

if TYPE_CHECKING:
    from arro3.core import Table
    from numpy.typing import NDArray

LATEST: Final = "store.metric_latest"

POINTS_AT_ONCE: Final = 8_000_000
"""How many points are in memory at once, 60 bytes each."""

_GREW: Final = """
SELECT series_no, run_no, n FROM store.metric_latest
WHERE first_position <= {as_of:d} AND last_position > {as_of:d} AND {only}
ORDER BY series_no, run_no
"""
# The bounds pass over most of the points: the runs that log at one time are near each other.
_WITHIN: Final = "series_no BETWEEN {0:d} AND {1:d} AND run_no BETWEEN {2:d} AND {3:d}"
_BEGUN: Final = """
SELECT count(*) FROM store.metric_latest WHERE first_position <= {as_of:d} AND {within}
"""
_POINTS: Final = """
SELECT {columns} FROM store.metric_points p {narrowed} WHERE p.position <= {as_of:d} AND {within}
"""


@contextmanager
def latest_as_of(
    connection: duckdb.DuckDBPyConnection,
    as_of: int | None,
    *,
    only: str = "true",
    name: str = "latest_then",
    points_at_once: int = POINTS_AT_ONCE,
) -> Iterator[str]:
    """The SQL that stands for the table inside the block; `only` is a condition on its rows.

    Rows that were summed up again are on the connection under the name, which must be free.
    """
    if as_of is None:
        yield LATEST
        return
    # Imported here, as most questions are about now and do without it.
    from runlore.projections.arrow_tables import answer, arrays, concatenated

    grown = answer(connection.sql(_GREW.format(as_of=as_of, only=only)))
    unchanged = f"FROM {LATEST} WHERE last_position <= {as_of:d}"
    if not len(grown):
        yield f"({unchanged})"
        return
    series_no, run_no, n = arrays(grown, "series_no", "run_no", "n")
    again = [
        _summed_up(connection, series_no[group], run_no[group], as_of)
        for group in portions(n.tolist(), points_at_once)
    ]
    connection.register(name, concatenated(again))
    try:
        yield f"({unchanged} UNION ALL FROM {name})"
    finally:
        connection.unregister(name)


def _summed_up(
    connection: duckdb.DuckDBPyConnection,
    series_no: NDArray[Any],
    run_no: NDArray[Any],
    as_of: int,
) -> Table:
    from runlore.projections.arrow_tables import answer, table_of_arrays
    from runlore.projections.metric_summaries import latest_of
    from runlore.projections.points import READ, points_in

    within = _WITHIN.format(series_no[0], series_no[-1], run_no.min(), run_no.max())
    [(begun,)] = connection.execute(_BEGUN.format(as_of=as_of, within=within)).fetchall()
    # Often all series in the bounds grew: then nothing needs to be filtered out.
    narrowed = "" if begun == len(run_no) else "SEMI JOIN grew USING (series_no, run_no)"
    connection.register("grew", table_of_arrays({"series_no": series_no, "run_no": run_no}))
    try:
        query = _POINTS.format(columns=READ, as_of=as_of, within=within, narrowed=narrowed)
        return latest_of(points_in(answer(connection.sql(query))))
    finally:
        connection.unregister("grew")
