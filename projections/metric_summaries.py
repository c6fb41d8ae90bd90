"""The summary of each series as of now: `metric_latest`, one row per run and series.

Each batch is summed up first and then added to the rows, so that nothing ever looks at all points.
The sums go on batch by batch in the order of the log: however the log is cut into portions, the
rows are the same to the last bit.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

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
    "series_no", "run_no", "n", "numbers", "nonfinite", "first", "last", "last_text", "last_type",
    "latest", "latest_step", "latest_time", "min", "max", "min_step", "max_step", "sum",
    "first_step", "last_step", "first_time", "last_time", "first_position", "last_position",
)  # fmt: skip

# DuckDB's order of doubles is the one that is documented: NaN is the greatest. NULL is no value.
_JOINED: Final = """
SELECT a.latest_step IS NOT NULL AND (
           t.latest_step IS NULL OR (a.latest_step, a.latest_time, a.latest)
               > (t.latest_step, t.latest_time, t.latest)) AS is_latest,
       a.place, t.sum, a.series_no, a.run_no, t.n + a.n AS n, t.numbers + a.numbers AS numbers,
       t.nonfinite + a.nonfinite AS nonfinite, t.first, a.last, a.last_text, a.last_type,
       CASE WHEN is_latest THEN a.latest ELSE t.latest END AS latest,
       CASE WHEN is_latest THEN a.latest_step ELSE t.latest_step END AS latest_step,
       CASE WHEN is_latest THEN a.latest_time ELSE t.latest_time END AS latest_time,
       least(t.min, a.min) AS min, greatest(t.max, a.max) AS max,
       CASE WHEN t.min IS NULL OR a.min < t.min THEN a.min_step ELSE t.min_step END AS min_step,
       CASE WHEN t.max IS NULL OR a.max > t.max THEN a.max_step ELSE t.max_step END AS max_step,
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
    groups = Groups(part_rows[first_part], np.add.reduceat(points.n, first_part))
    values, valid = points.values, points.valid
    first, last = groups.starts, groups.starts + groups.sizes - 1
    numeric = groups.sizes if valid is None else groups.marked(valid)
    finite = np.isfinite(values) if valid is None else np.isfinite(values) & valid
    if finite.all():
        counts, some, sums = groups.sizes, None, np.add.reduceat(values, part_rows)
        finite_values = values
    else:
        counts = groups.marked(finite)
        some, sums = counts > 0, np.add.reduceat(np.where(finite, values, 0.0), part_rows)
        finite_values = np.where(finite, values, np.nan)
    least = np.fmin.reduceat(finite_values, groups.starts)
    greatest = np.fmax.reduceat(finite_values, groups.starts)
    latest, is_number = _latest(points, groups), None if valid is None else numeric > 0
    columns: dict[str, Array | NDArray[Any]] = {
        "series_no": points.series_no[first_part].astype(np.int32),
        "run_no": points.run_no[first_part],
        "n": groups.sizes,
        "numbers": numeric,
        "nonfinite": numeric - counts,
        "first": numbers(values[first], None if valid is None else valid[first]),
        "last": numbers(values[last], None if valid is None else valid[last]),
        "last_text": texts_at(points.text, last),
        "last_type": points.type[last],
        # Whether 0.0 or -0.0 is the least depends on the library: always use 0.0.
        "latest": numbers(latest.value + 0.0, is_number),
        "latest_step": numbers(latest.step, is_number),
        "latest_time": numbers(latest.time, is_number),
        "min": numbers(least + 0.0, some),
        "max": numbers(greatest + 0.0, some),
        "min_step": numbers(groups.first_with(finite_values, least, points.steps), some),
        "max_step": numbers(groups.first_with(finite_values, greatest, points.steps), some),
        "first_step": points.steps[first],
        "last_step": points.steps[last],
        "first_time": np.minimum.reduceat(points.times, groups.starts),
        "last_time": np.maximum.reduceat(points.times, groups.starts),
        "first_position": points.position[first_part],
        "last_position": points.position[first_part + parts - 1],
        "place": np.arange(len(first)),
    }
    return table_of_arrays(columns), sums, first_part, parts


class Groups(NamedTuple):
    """Rows in groups, one after the other: where each begins and how many rows it has."""

    starts: Ints
    sizes: Ints

    def marked(self, marks: NDArray[np.bool_]) -> Ints:
        """How many rows of each group are marked."""
        counts: Ints = np.add.reduceat(marks.astype(np.int64), self.starts)
        return counts

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """A value per group, for each of its rows."""
        return np.repeat(values, self.sizes)

    def first_with(self, values: Floats, wanted: Floats, of: Ints) -> Ints:
        """What `of` has in the first row of each group with the wanted value; 0 if none has it."""
        rows = np.flatnonzero(values == self.spread(wanted))
        group = np.searchsorted(self.starts, rows, side="right") - 1
        begins = np.flatnonzero(np.diff(group, prepend=-1))
        found = np.zeros(len(self.starts), np.int64)
        found[group[begins]] = of[rows[begins]]
        return found


class Latest(NamedTuple):
    """The greatest of each group's points by step, time and value."""

    step: Ints
    time: Ints
    value: Floats


def _latest(points: Points, groups: Groups) -> Latest:
    """Of a group without numbers, anything."""
    steps, times, values, valid = points.steps, points.times, points.values, points.valid
    if valid is None:
        later = np.ones(len(steps), bool)
        np.greater(steps[1:], steps[:-1], out=later[1:])  # A difference could overflow.
        later[groups.starts] = True
        if later.all():  # As they mostly are.
            last = groups.starts + groups.sizes - 1
            return Latest(steps[last], times[last], values[last])
        chosen = np.ones(len(values), bool)
    else:
        chosen = valid
    step, chosen = _greatest(steps, chosen, groups)
    time, chosen = _greatest(times, chosen, groups)
    value = np.maximum.reduceat(np.where(chosen, values, -np.inf), groups.starts)
    return Latest(step, time, value)


def _greatest(
    values: Ints, chosen: NDArray[np.bool_], groups: Groups
) -> tuple[Ints, NDArray[np.bool_]]:
    """The greatest of the chosen values of each group, and which rows have it."""
    greatest = np.maximum.reduceat(np.where(chosen, values, _LEAST), groups.starts)
    return greatest, chosen & (values == groups.spread(greatest))


_LEAST: Final = np.iinfo(np.int64).min


def _added(totals: Floats, sums: Floats, first_part: Ints, parts: Ints) -> Floats:
    """The totals and the sums of their parts, added one after the other."""
    most_first = np.argsort(-parts, kind="stable")
    sorted_parts = -parts[most_first]
    with np.errstate(all="ignore"):
        for place in range(-int(sorted_parts[0])):
            having = most_first[: np.searchsorted(sorted_parts, -place, side="left")]
            totals[having] += sums[first_part[having] + place]
    return totals
