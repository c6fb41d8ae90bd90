"""`metric_latest` as it was at an earlier position, or anew, without reading all points.

A series without newer values stands in the table as it stood then. Only those that began
before and went on afterwards (of the runs that logged at that time) are summed up again, in the
same way and so to the same bit; so are those of runs that went back to a step afterwards, and,
when a run does, its summaries as of now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from runlore.projections.driver import complete, duckdb
from runlore.projections.portions import portions
from runlore.projections.rewinds import points_then, rewound_after
from runlore.projections.temporal import insert_table

if TYPE_CHECKING:
    from arro3.core import Table

LATEST: Final = "store.metric_latest"

POINTS_AT_ONCE: Final = 8_000_000
"""How many points are in memory at once, 60 bytes each."""

_GREW: Final = """
SELECT series_no, run_no, n FROM store.metric_latest
WHERE first_position <= {as_of:d} AND last_position > {as_of:d} AND {only} AND {stands}
"""
_WENT_BACK: Final = """
SELECT series_no, run_no, count(*) AS n FROM {points} p
WHERE {until} AND run_no IN ({runs}) AND {only} GROUP BY ALL
"""
_IN_ORDER: Final = " ORDER BY series_no, run_no"
# The bounds pass over most of the points: the runs that log at one time are near each other.
_WITHIN: Final = "series_no BETWEEN {0:d} AND {1:d} AND run_no BETWEEN {2:d} AND {3:d}"
_BEGUN: Final = """
SELECT count(*) FROM store.metric_latest WHERE first_position <= {as_of:d} AND {within}
"""
_POINTS: Final = """
SELECT {columns} FROM {points} p {narrowed} WHERE {until} AND {within}
"""
_NARROWED: Final = "SEMI JOIN grew USING (series_no, run_no)"


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
    from runlore.projections.arrow_tables import answer

    complete()
    went_back = rewound_after(connection, as_of)
    points = points_then(connection, as_of)
    until, runs = f"p.position <= {as_of:d}", ", ".join(map(str, went_back))
    stands = f"run_no NOT IN ({runs})" if went_back else "true"
    found = _GREW.format(as_of=as_of, only=only, stands=stands)
    if went_back:
        found += " UNION ALL " + _WENT_BACK.format(points=points, until=until, runs=runs, only=only)
    grown = answer(connection.sql(found + _IN_ORDER))
    unchanged = f"FROM {LATEST} WHERE last_position <= {as_of:d} AND {stands}"
    if not len(grown):
        yield f"({unchanged})"
        return

    def narrowed(within: str, wanted: int) -> str:
        if went_back:
            return _NARROWED
        # Often all series in the bounds grew: then nothing needs to be filtered out.
        [(begun,)] = connection.execute(_BEGUN.format(as_of=as_of, within=within)).fetchall()
        return "" if begun == wanted else _NARROWED

    connection.register(
        name, _summed_up(connection, grown, points, until, narrowed, points_at_once)
    )
    try:
        yield f"({unchanged} UNION ALL FROM {name})"
    finally:
        connection.unregister(name)


def sum_up_again(
    connection: duckdb.DuckDBPyConnection,
    run_nos: Sequence[int],
    points_at_once: int = POINTS_AT_ONCE,
) -> None:
    """Replaces the rows of some runs in `metric_latest` by those of their valid points."""
    from runlore.projections.arrow_tables import answer

    complete()
    runs = ", ".join(map(str, run_nos))
    points = points_then(connection, None, run_nos)
    connection.execute(f"DELETE FROM {LATEST} WHERE run_no IN ({runs})")
    query = _WENT_BACK.format(points=points, until="true", runs=runs, only="true")
    series = answer(connection.sql(query + _IN_ORDER))
    if len(series):
        again = _summed_up(connection, series, points, "true", _all_narrowed, points_at_once)
        insert_table(connection, LATEST, again)


def _all_narrowed(within: str, wanted: int) -> str:
    return _NARROWED


def _summed_up(
    connection: duckdb.DuckDBPyConnection,
    series: Table,
    points: str,
    until: str,
    narrowed: Callable[[str, int], str],
    points_at_once: int,
) -> Table:
    """The summaries of some series, a portion at a time; `series` counts their points.

    `narrowed` is asked which join takes only them, of all that are within some bounds.
    """
    from runlore.projections.arrow_tables import answer, arrays, concatenated, table_of_arrays
    from runlore.projections.metric_summaries import latest_of
    from runlore.projections.points import READ, points_in

    complete()
    all_series_no, all_run_no, n = arrays(series, "series_no", "run_no", "n")
    again = []
    for group in portions(n.tolist(), points_at_once):
        series_no, run_no = all_series_no[group], all_run_no[group]
        within = _WITHIN.format(series_no[0], series_no[-1], run_no.min(), run_no.max())
        query = _POINTS.format(
            columns=READ,
            points=points,
            narrowed=narrowed(within, len(run_no)),
            until=until,
            within=within,
        )
        connection.register("grew", table_of_arrays({"series_no": series_no, "run_no": run_no}))
        try:
            again.append(latest_of(points_in(answer(connection.sql(query)))))
        finally:
            connection.unregister("grew")
    return concatenated(again)
