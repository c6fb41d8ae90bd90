"""Curves of many runs and metrics on one x axis, gathered in buckets for a chart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import duckdb
import numpy as np
from arro3.core import Table
from numpy.typing import NDArray

from runlore.domain.errors import InvalidInput
from runlore.projections.arrow_tables import answer, arrays, table_of_columns
from runlore.projections.conditions import Conditions
from runlore.projections.points import group_starts
from runlore.projections.rewinds import points_then
from runlore.projections.series import series_numbers

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STEP: Final = "step"
TIME: Final = "time"
SINCE: Final = "since"
METRIC: Final = "metrics."

BUCKETS_MAX: Final = 10_000

# The place in the log as one number: a batch has less than 2^31 values. DuckDB compares a pair by
# far slower. Beyond 4 billion events it would need more bits, and fails.
_PLACE: Final = "{0}position * 2147483648 + {0}idx"


@dataclass(frozen=True)
class ChartQuestion:
    """The curves that a chart shows.

    `x` is `step`; `time`, in seconds since 1970 UTC; `since`, in seconds since the run started; or
    `metrics.NAME`: the last value of that metric which the run logged for the same step. Only
    points with `between[0] <= x <= between[1]` count. Raises InvalidInput.
    """

    run_ids: Sequence[str]
    metrics: Sequence[str]
    x: str = STEP
    between: tuple[float, float] | None = None
    buckets: int = 1_000

    def __post_init__(self) -> None:
        if self.x not in (STEP, TIME, SINCE) and self.x.removeprefix(METRIC) in ("", self.x):
            raise InvalidInput(
                f"x is {self.x!r:.80}; it takes 'step', 'time', 'since' or 'metrics.NAME'"
            )
        buckets = self.buckets
        if isinstance(buckets, bool) or not 1 <= buckets <= BUCKETS_MAX:
            raise InvalidInput(
                f"buckets is {buckets!r:.80}; it takes a whole number from 1 to {BUCKETS_MAX:,}"
            )
        if self.between is not None:
            low, high = self.between
            if not (math.isfinite(low) and math.isfinite(high) and low <= high):
                raise InvalidInput(
                    f"between is ({low}, {high}); it takes two finite numbers, the lower one first"
                )


class ChartSeries(NamedTuple):
    """One metric of one run, in the buckets in which it has points, by increasing x.

    All arrays have shape (n,). `places` are indexes into the chart's `x`. `last` (in the order of
    logging), `least`, `greatest` and `mean` are float64, of the bucket's finite values, and NaN
    where it has none. `n` counts all points of the bucket, and `n_nan`, `n_positive` and
    `n_negative` those that are NaN or infinite; int64.
    """

    run_id: str
    metric: str
    places: Ints
    last: Floats
    least: Floats
    greatest: Floats
    mean: Floats
    n: Ints
    n_nan: Ints
    n_positive: Ints
    n_negative: Ints

    @property
    def total(self) -> int:
        """The number of points of all buckets."""
        return int(self.n.sum())


class Chart(NamedTuple):
    """Series on a common x axis: of each bucket with points, the greatest x of them; float64."""

    x: Floats
    series: list[ChartSeries]


NO_CHART: Final = Chart(np.empty(0), [])

# Texts and missing values are no points of a curve.
_POINTS: Final = """
SELECT p.series_no, p.run_no, {x} AS x, p.value, p.position, p.idx
FROM {points} p {joined}
WHERE p.series_no IN ({series}) AND p.run_no IN ({runs}) AND p.value IS NOT NULL {until}
"""
# The axis's own metric as it was last logged for each step.
_OTHER: Final = """
JOIN (SELECT o.run_no, o.step, arg_max(o.value, {place}) AS x
      FROM {points} o
      WHERE o.series_no = {series_no:d} AND o.run_no IN ({runs}) AND o.value IS NOT NULL {until}
      GROUP BY ALL) o ON o.run_no = p.run_no AND o.step = p.step
"""
# A run that was made for others to execute starts when they do.
_STARTS: Final = """
JOIN (SELECT s.run_no, s.begun_at FROM store.run_states s WHERE {holds}) s ON s.run_no = p.run_no
"""
_EXTENT: Final = """
SELECT min(x), max(x) FROM ({points}) WHERE isfinite(x) {within}
"""
_BUCKETS: Final = """
SELECT series_no, run_no, {bucket} AS bucket, max(x) AS x,
       coalesce(arg_max(value, {place}) FILTER (isfinite(value)), 'nan') AS last,
       coalesce(min(value) FILTER (isfinite(value)), 'nan') AS least,
       coalesce(max(value) FILTER (isfinite(value)), 'nan') AS greatest,
       coalesce(avg(value) FILTER (isfinite(value)), 'nan') AS mean,
       count(*) AS n,
       count(*) FILTER (isnan(value)) AS n_nan,
       count(*) FILTER (value = 'inf'::DOUBLE) AS n_positive,
       count(*) FILTER (value = '-inf'::DOUBLE) AS n_negative
FROM ({points}) WHERE isfinite(x) {within}
GROUP BY ALL ORDER BY series_no, run_no, bucket
"""


def chart(
    connection: duckdb.DuckDBPyConnection, question: ChartQuestion, as_of: int | None
) -> Chart:
    """The series of the runs that have the metrics: by run, then by metric, as they are asked."""
    runs = _run_numbers(connection, question.run_ids, as_of)
    numbers = series_numbers(connection, question.metrics)
    wanted = {numbers[name, ""]: name for name in question.metrics if (name, "") in numbers}
    points = None if not (runs and wanted) else _points(connection, question, runs, wanted, as_of)
    if points is None:
        return NO_CHART
    low, high = question.between or (-math.inf, math.inf)
    within = "" if question.between is None else f"AND x BETWEEN {low!r} AND {high!r}"
    extent = connection.execute(_EXTENT.format(points=points, within=within)).fetchall()[0]
    if extent[0] is None:
        return NO_CHART
    query = _BUCKETS.format(
        points=points,
        within=within,
        bucket=_bucket(extent[0], extent[1], question),
        place=_PLACE.format(""),
    )
    return _chart(answer(connection.sql(query)), question, runs, wanted)


def _run_numbers(
    connection: duckdb.DuckDBPyConnection, run_ids: Sequence[str], as_of: int | None
) -> dict[int, str]:
    ids = list(dict.fromkeys(run_ids))
    if not ids:
        return {}
    connection.register("wanted", table_of_columns([ids], {"run_id": "string"}))
    try:
        return dict(
            connection.execute(
                "SELECT r.run_no, r.run_id FROM store.runs r JOIN wanted w USING (run_id) "
                f"WHERE {Conditions(as_of).known('r')}"
            ).fetchall()
        )
    finally:
        connection.unregister("wanted")


def _points(
    connection: duckdb.DuckDBPyConnection,
    question: ChartQuestion,
    runs: dict[int, str],
    wanted: dict[int, str],
    as_of: int | None,
) -> str | None:
    """The query of the points with their x; None if the metric of the axis does not exist."""
    until = "" if as_of is None else "AND {}.position <= " + str(as_of)
    chosen = {
        "points": points_then(connection, as_of, runs),
        "runs": ", ".join(map(str, runs)),
    }
    x, joined = {
        STEP: ("p.step::DOUBLE", ""),
        TIME: ("p.time / 1e6", ""),
        SINCE: (
            "(p.time - s.begun_at) / 1e6",
            _STARTS.format(holds=Conditions(as_of).current("s")),
        ),
    }.get(question.x, ("o.x", ""))
    if question.x.startswith(METRIC):
        name = question.x.removeprefix(METRIC)
        series_no = series_numbers(connection, [name]).get((name, ""))
        if series_no is None:
            return None
        joined = _OTHER.format(
            **chosen, series_no=series_no, place=_PLACE.format("o."), until=until.format("o")
        )
    series = ", ".join(map(str, wanted))
    return _POINTS.format(**chosen, x=x, joined=joined, series=series, until=until.format("p"))


def _bucket(low: float, high: float, question: ChartQuestion) -> str:
    """The SQL for the number of a point's bucket: each step its own, where they are few."""
    last = question.buckets - 1
    if high == low:
        return "0"
    if question.x == STEP and high - low <= last:
        return f"(x - {low!r})::BIGINT"
    # Halves, as the difference of two large numbers may be none.
    scale = question.buckets / (high / 2 - low / 2)
    return f"least(floor((x / 2 - {low / 2!r}) * {scale!r}), {last})::BIGINT"


def _chart(
    table: Table, question: ChartQuestion, runs: dict[int, str], wanted: dict[int, str]
) -> Chart:
    series_no, run_no, bucket, x = arrays(table, "series_no", "run_no", "bucket", "x")
    columns = arrays(
        table, "last", "least", "greatest", "mean", "n", "n_nan", "n_positive", "n_negative"
    )
    filled, places = np.unique(bucket, return_inverse=True)
    axis = np.full(len(filled), -np.inf)
    np.maximum.at(axis, places, x)
    starts = group_starts(series_no, run_no).tolist()
    found: dict[tuple[str, str], ChartSeries] = {}
    for start, end in zip(starts, [*starts[1:], len(bucket)], strict=True):
        key = runs[int(run_no[start])], wanted[int(series_no[start])]
        own = [column[start:end] for column in columns]
        found[key] = ChartSeries(*key, places[start:end], *own)
    asked = [(run_id, name) for run_id in question.run_ids for name in question.metrics]
    return Chart(axis, [found[key] for key in dict.fromkeys(asked) if key in found])
