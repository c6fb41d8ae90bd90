"""The summary of each series as of now: `metric_latest`, one row per run and series.

Each batch is summed up first and then added to the rows, so that nothing ever looks at all points.
The sums go on batch by batch in the order of the log: however the log is cut into portions, the
rows are the same to the last bit.
"""

from __future__ import annotations

from typing import Any, Final

import duckdb
import numpy as np
from arro3.core import Array, Table
from numpy.typing import NDArray

from runlore.projections.arrow_tables import (
    answer,
    array_of,
    arrays,
    numbers,
    table_of_arrays,
    taken,
)
from runlore.projections.points import Points, group_starts, texts_at
from runlore.projections.temporal import insert_table, with_table
from runlore.storage.value_arrays import Ints, starts_of

Floats = NDArray[np.float64]

COLUMNS: Final = (
    "series_no", "run_no", "n", "numbers", "last", "last_text", "last_type", "min", "max", "sum",
    "first_step", "last_step", "first_time", "last_time", "first_position", "last_position",
)  # fmt: skip

# DuckDB's order of doubles is the one that is documented: NaN is the greatest. NULL is no value.
_JOINED: Final = """
SELECT a.place, t.sum, a.series_no, a.run_no, t.n + a.n AS n, t.numbers + a.numbers AS numbers,
       a.last, a.last_text, a.last_type, least(t.min, a.min) AS min, greatest(t.max, a.max) AS max,
       t.first_step, a.last_step, least(t.first_time, a.first_time) AS first_time,
       greatest(t.last_time, a.last_time) AS last_time, t.first_position, a.last_position
FROM store.metric_latest t
JOIN latest a ON a.series_no = t.series_no AND a.run_no = t.run_no
"""
# Not UPDATE: it leaves -0.0 where 0.0 is to be set, as these are equal.
_DELETE: Final = """
DELETE FROM store.metric_latest t
USING latest a WHERE a.series_no = t.series_no AND a.run_no = t.run_no
"""


def add_to_latest(connection: duckdb.DuckDBPyConnection, points: Points) -> None:
    """Adds points that are later than all points in the table."""
    table, sums, first_part, parts = _summed_up(points)
    with_table(connection, "latest", table)
    joined = answer(connection.sql(_JOINED))
    places, held = arrays(joined, "place", "sum")
    totals = np.zeros(len(table))
    totals[places] = held
    totals = _added(totals, sums, first_part, parts)
    if len(joined):
        connection.execute(_DELETE)
        _insert(connection, joined, totals[places])
    connection.unregister("latest")
    if len(joined) < len(table):
        is_new = np.ones(len(table), bool)
        is_new[places] = False
        _insert(connection, taken(table, np.flatnonzero(is_new)), totals[is_new])


def latest_of(points: Points) -> Table:
    """The table's rows for these points alone."""
    table, sums, first_part, parts = _summed_up(points)
    return _with_sums(table, _added(np.zeros(len(table)), sums, first_part, parts))


def _insert(connection: duckdb.DuckDBPyConnection, rows: Table, sums: Floats) -> None:
    insert_table(connection, "store.metric_latest", _with_sums(rows, sums))


def _with_sums(rows: Table, sums: Floats) -> Table:
    return table_of_arrays(
        {name: sums if name == "sum" else array_of(rows, name) for name in COLUMNS}
    )


def _summed_up(points: Points) -> tuple[Table, Floats, Ints, Ints]:
    """One row per run and series, without the sum; the parts' sums are returned beside it."""
    part_rows = starts_of(points.n)
    first_part = group_starts(points.series_no, points.run_no)
    parts = np.diff(first_part, append=len(points.n))
    rows = part_rows[first_part]
    values, valid = points.values, points.valid
    with np.errstate(all="ignore"):  # Sums of infinities, as SQL has them.
        if valid is None:
            counts = np.add.reduceat(points.n, first_part)
            least = np.fmin.reduceat(values, rows)
            greatest = np.maximum.reduceat(values, rows)
            sums = np.add.reduceat(values, part_rows)
            some = None
        else:
            counts = np.add.reduceat(valid.astype(np.int64), rows)
            least = np.fmin.reduceat(np.where(valid, values, np.nan), rows)
            greatest = np.maximum.reduceat(np.where(valid, values, -np.inf), rows)
            sums = np.add.reduceat(np.where(valid, values, 0.0), part_rows)
            some = counts > 0
    first, last = rows, rows + np.add.reduceat(points.n, first_part) - 1
    columns: dict[str, Array | NDArray[Any]] = {
        "series_no": points.series_no[first_part].astype(np.int32),
        "run_no": points.run_no[first_part],
        "n": np.add.reduceat(points.n, first_part),
        "numbers": counts,
        "last": numbers(values[last], None if valid is None else valid[last]),
        "last_text": texts_at(points.text, last),
        "last_type": points.type[last],
        # Whether 0.0 or -0.0 is the least depends on the library: always use 0.0.
        "min": numbers(least + 0.0, some),
        "max": numbers(greatest + 0.0, some),
        "first_step": points.steps[first],
        "last_step": points.steps[last],
        "first_time": np.minimum.reduceat(points.times, rows),
        "last_time": np.maximum.reduceat(points.times, rows),
        "first_position": points.position[first_part],
        "last_position": points.position[first_part + parts - 1],
        "place": np.arange(len(rows)),
    }
    return table_of_arrays(columns), sums, first_part, parts


def _added(totals: Floats, sums: Floats, first_part: Ints, parts: Ints) -> Floats:
    """The totals and the sums of their parts, added one after the other."""
    most_first = np.argsort(-parts, kind="stable")
    sorted_parts = -parts[most_first]
    with np.errstate(all="ignore"):
        for place in range(-int(sorted_parts[0])):
            having = most_first[: np.searchsorted(sorted_parts, -place, side="left")]
            totals[having] += sums[first_part[having] + place]
    return totals
