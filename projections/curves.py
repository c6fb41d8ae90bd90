"""Series as arrays: one whole and exact, or many thinned out for a chart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import duckdb
import numpy as np
from arro3.core import Table
from numpy.typing import NDArray

from runlore.projections.arrow_tables import (
    answer,
    array_of,
    arrays,
    table_of_columns,
    taken,
)
from runlore.projections.filters import check_text_filter
from runlore.projections.points import TYPES, group_starts
from runlore.projections.portions import portions
from runlore.projections.rewinds import ALL_POINTS, points_then
from runlore.projections.series import series_numbers
from runlore.projections.smoothing import smoothed
from runlore.shown.reduction import ValueCounts, thinned_rows

Ints = NDArray[np.int64]

_FLOAT, _INT, _BOOL, _TEXT, _NONE = range(len(TYPES))
_INT64: Final = range(-(2**63), 2**63)
_POINTS_AT_ONCE: Final = 8_000_000
"""How many points are in memory at once, 24 bytes each."""


class SeriesValues(NamedTuple):
    """All values of a metric of a run, in the order in which they were logged.

    `steps` and `times` (µs since 1970 UTC) have shape (n,) and dtype int64, each of `columns`
    shape (n,): float64 or int64 where all values are, else object, with None in rows that lack
    the column. A scalar's one column has the metric's name. `kind` is that of the series, or
    `row`, else `scalar`, where they are mixed.
    """

    kind: str
    steps: Ints
    times: Ints
    columns: dict[str, NDArray[Any]]


class Curve(NamedTuple):
    """Points of a metric of a run for a chart, in the order in which they were logged.

    `steps` and `times` (µs since 1970 UTC) have shape (n,) and dtype int64, `values` float64.
    `total` says how many values the series has, and `counts` are of all of them. `smoothed`, of the
    shape of `values`, is None unless it was asked for.
    """

    run_id: str
    steps: Ints
    times: Ints
    values: NDArray[np.float64]
    total: int
    counts: ValueCounts
    smoothed: NDArray[np.float64] | None = None


_SERIES: Final = """
SELECT p.series_no, p.step, p.time, coalesce(p.value, 'nan'::DOUBLE) AS value, p.text, p.type,
       p.position, p.idx
FROM {points} p
WHERE p.series_no IN ({series}) AND p.run_no = {run_no:d} {until}
"""


DescribedAt = Callable[[int], Sequence[Mapping[str, Any]]]
"""The series that the batch at a position describes."""


def series_values(
    connection: duckdb.DuckDBPyConnection,
    run_no: int,
    metric: str,
    as_of: int | None,
    described_at: DescribedAt,
) -> SeriesValues | None:
    """A metric of a run, as it was logged up to a position; None if it has no values."""
    series = _series_of(connection, metric)
    if not series:
        return None
    until = "" if as_of is None else f"AND p.position <= {as_of:d}"
    points = points_then(connection, as_of, [run_no])
    numbers_of_series = ", ".join(map(str, series))
    query = _SERIES.format(points=points, series=numbers_of_series, run_no=run_no, until=until)
    table = _in_log_order(answer(connection.sql(query)))
    if not len(table):
        return None
    numbers, steps, times = arrays(table, "series_no", "step", "time")
    found = np.unique(numbers).tolist()
    kinds = {series[number][1] for number in found}
    kind = kinds.pop() if len(kinds) == 1 else "row" if "row" in kinds else "scalar"
    if len(found) == 1:
        name = series[found[0]][0] or metric
        return SeriesValues(kind, steps, times, {name: _exact(table)})
    place, index = arrays(table, "position", "idx")
    begins = np.ones(len(table), bool)
    begins[1:] = (place[1:] != place[:-1]) | (index[1:] != index[:-1])
    row = np.cumsum(begins) - 1
    columns: dict[str, NDArray[Any]] = {}
    for name, members in _columns(metric, series, table, described_at).items():
        chosen = np.flatnonzero(np.isin(numbers, members))
        columns[name] = _spread(_exact(taken(table, chosen)), row[chosen], int(row[-1]))
    return SeriesValues(kind, steps[begins], times[begins], columns)


def _in_log_order(table: Table) -> Table:
    """The rows by position, index and series; the view returns a single series in this order."""
    place, index, number = arrays(table, "position", "idx", "series_no")
    later = np.diff(place) > 0
    if (later | (np.diff(index) > 0)).all() and (np.diff(place) >= 0).all():
        return table
    return taken(table, np.lexsort((number, index, place)))


def _series_of(connection: duckdb.DuckDBPyConnection, metric: str) -> dict[int, tuple[str, str]]:
    """The column and kind of each series of a metric's name, by number."""
    rows = connection.execute(
        "SELECT series_no, col, kind FROM store.series WHERE name = ?",
        [check_text_filter("metric", metric)],
    ).fetchall()
    return {number: (column, kind) for number, column, kind in rows}


def _columns(
    metric: str, series: dict[int, tuple[str, str]], table: Table, described_at: DescribedAt
) -> dict[str, list[int]]:
    """The series of each column, in the order in which the columns were first logged.

    Columns of one row come in the order of the row, which only its batch's event tells.
    """
    numbers, positions, indexes = arrays(table, "series_no", "position", "idx")
    first: dict[str, tuple[int, int]] = {}
    members: dict[str, list[int]] = {}
    for number, at in zip(*np.unique(numbers, return_index=True), strict=True):
        column = series[int(number)][0] or metric
        place = (int(positions[at]), int(indexes[at]))
        first[column] = min(first.get(column, place), place)
        members.setdefault(column, []).append(int(number))
    order: list[str] = []
    for place in sorted(set(first.values())):
        together = [column for column, other in first.items() if other == place]
        if len(together) > 1:
            together = _as_described(described_at(place[0]), metric, together)
        order.extend(together)
    return {column: members[column] for column in order}


def _as_described(
    described: Sequence[Mapping[str, Any]], metric: str, columns: Sequence[str]
) -> list[str]:
    """Columns that began in one row, in the order of the first series of the batch with them."""
    for series in described:
        held = series.get("columns", ())
        if series["name"] == metric and set(columns) <= set(held):
            return [column for column in held if column in columns]
    return list(columns)


def _spread(values: NDArray[Any], rows: Ints, last: int) -> NDArray[Any]:
    """A column of all rows, None where it has no value."""
    if len(rows) == last + 1:
        return values
    spread = np.full(last + 1, None, object)
    spread[rows] = values.tolist()
    return spread


def _exact(table: Table) -> NDArray[Any]:
    """The values as they were logged, restored from their SQL columns."""
    types, values = arrays(table, "type", "value")
    if not types.any():
        return values
    if (types == _INT).all() and table["text"].null_count == len(table):
        numbers: Ints = values.astype(np.int64)
        return numbers
    texts = array_of(table, "text").to_pylist()
    if (types == _INT).all():
        exact = [
            int(value) if text is None else _digits(text)
            for value, text in zip(values.tolist(), texts, strict=True)
        ]
        fits = all(number in _INT64 for number in exact)
        return np.array(exact, np.int64 if fits else object)
    restored = np.empty(len(table), object)
    restored[:] = [
        restored_value(value, text, type_)
        for value, text, type_ in zip(values.tolist(), texts, types.tolist(), strict=True)
    ]
    return restored


def restored_value(value: float | None, text: str | None, type_: int) -> Any:
    """The value that was logged, restored from its SQL columns."""
    if type_ == _FLOAT:
        return value
    if type_ == _TEXT:
        return text
    if type_ == _NONE or value is None:
        return None
    if type_ == _BOOL:
        return bool(value)
    return int(value) if text is None else _digits(text)


def _digits(text: str) -> int:
    return int(text, 16 if "x" in text else 10)


# --- charts -----------------------------------------------------------------------------------

_TOTALS: Final = """
SELECT r.run_no, r.run_id, {count}
FROM store.runs r JOIN wanted w ON w.run_id = r.run_id
JOIN {source} p ON p.run_no = r.run_no AND p.series_no = {series_no:d} {until}
GROUP BY ALL
"""
# Not sorted: the view has the points of one run and series in the order of the log, which DuckDB
# keeps. Sorting 5 million takes eight times as long as reading them. A missing value is NaN here:
# a gap, as NaN is.
_POINTS: Final = """
SELECT p.run_no, p.step, p.time, coalesce(p.value, 'nan'::DOUBLE) AS value
FROM {points} p
WHERE p.series_no = {series_no:d} AND p.run_no IN ({runs}) {until}
"""
_IN_LOG_ORDER: Final = "ORDER BY p.run_no, p.position, p.idx"


def curves(
    connection: duckdb.DuckDBPyConnection,
    run_ids: Sequence[str],
    metric: str,
    max_points: int,
    as_of: int | None,
    column: str,
    half_life: float | None = None,
) -> list[Curve]:
    """The curves of the runs that have the metric, in the order of the ids."""
    until = "" if as_of is None else f"AND p.position <= {as_of:d}"
    series_no = series_numbers(connection, [metric]).get((metric, column))
    if series_no is None:
        return []
    ids = list(dict.fromkeys(run_ids))
    connection.register("wanted", table_of_columns([ids], {"run_id": "string"}))
    source, count = (
        ("store.metric_latest", "any_value(p.n)")
        if as_of is None
        else (points_then(connection, as_of), "count(*)")
    )
    totals = connection.execute(
        _TOTALS.format(source=source, count=count, series_no=series_no, until=until)
    ).fetchall()
    connection.unregister("wanted")
    found: dict[str, Curve] = {}
    for group in portions([n for _, _, n in totals], _POINTS_AT_ONCE):
        names = {run_no: run_id for run_no, run_id, _ in totals[group]}
        runs = ", ".join(map(str, names))
        points = points_then(connection, as_of, names)
        query = _POINTS.format(points=points, series_no=series_no, runs=runs, until=until)
        if points != ALL_POINTS:
            query += _IN_LOG_ORDER
        for curve in _thinned(answer(connection.sql(query)), names, max_points, half_life):
            found[curve.run_id] = curve
    return [found[run_id] for run_id in ids if run_id in found]


def _thinned(
    table: Table, names: dict[int, str], max_points: int, half_life: float | None
) -> Iterator[Curve]:
    run_no, steps, times, values = arrays(table, "run_no", "step", "time", "value")
    starts = group_starts(run_no)
    pieces: dict[int, list[slice]] = {}
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(run_no)], strict=True):
        pieces.setdefault(int(run_no[start]), []).append(slice(start, end))
    for number, slices in pieces.items():
        own_steps, own_times, own = (
            np.concatenate([column[piece] for piece in slices]) for column in (steps, times, values)
        )
        kept = thinned_rows(own, max_points)
        means = None if half_life is None else smoothed(own_steps, own, half_life)[kept]
        points = own_steps[kept], own_times[kept], own[kept]
        yield Curve(names[number], *points, len(own), ValueCounts.of(own), means)
