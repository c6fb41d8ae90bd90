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
from runlore.projections.live_points import LivePoints, together
from runlore.projections.points import group_starts
from runlore.projections.rewinds import points_then
from runlore.projections.series import series_numbers
from runlore.projections.smoothing import check_half_life, smoothed

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
    points with `between[0] <= x <= between[1]` count. `smooth` asks for smoothed values as well:
    it is the distance in steps at which an earlier value counts half (`smoothing.py`). Raises
    InvalidInput.
    """

    run_ids: Sequence[str]
    metrics: Sequence[str]
    x: str = STEP
    between: tuple[float, float] | None = None
    buckets: int = 1_000
    smooth: float | None = None

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
        if self.smooth is not None:
            check_half_life(self.smooth)
        if self.between is not None:
            low, high = self.between
            if not (math.isfinite(low) and math.isfinite(high) and low <= high):
                raise InvalidInput(
                    f"between is ({low}, {high}); it takes two finite numbers, the lower one first"
                )


class ChartSeries(NamedTuple):
    """One metric of one run, in the buckets in which it has points, by increasing x.

    All arrays have shape (n,). `places` are indexes into the chart's `x`. `last` (in the order of
    logging), `least`, `greatest`, `mean` and `deviation` (the standard deviation, NaN if a value is
    beyond 1e150) are float64, of the bucket's finite values, and NaN where it has none.
    `n` counts all points of the bucket, and `n_nan`, `n_positive` and `n_negative` those that are
    NaN or infinite; int64. `smooth`, if it was asked for, is the smoothed value at `last`: it is
    made of all points of the curve, also those that are not shown.
    """

    run_id: str
    metric: str
    places: Ints
    last: Floats
    least: Floats
    greatest: Floats
    mean: Floats
    deviation: Floats
    n: Ints
    n_nan: Ints
    n_positive: Ints
    n_negative: Ints
    smooth: Floats | None = None

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
SELECT p.series_no, p.run_no, {x} AS x, p.step, p.value, p.position, p.idx
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
# NULL in the place of what does not count takes two thirds of the time of FILTER. The deviation of
# values beyond 1e150 would be an error.
_BUCKETS: Final = """
SELECT series_no, run_no, {bucket} AS bucket, max(x) AS x,
       coalesce(arg_max(finite, {place}), 'nan') AS last,
       coalesce(min(finite), 'nan') AS least,
       coalesce(max(finite), 'nan') AS greatest,
       coalesce(avg(finite), 'nan') AS mean,
       CASE WHEN greatest(-min(finite), max(finite)) < 1e150
            THEN stddev_pop(CASE WHEN abs(finite) < 1e150 THEN finite END)
            ELSE 'nan' END AS deviation,
       count(*) AS n,
       count(*) FILTER (isnan(value)) AS n_nan,
       count(*) FILTER (value = 'inf'::DOUBLE) AS n_positive,
       count(*) FILTER (value = '-inf'::DOUBLE) AS n_negative
FROM (SELECT *, CASE WHEN isfinite(value) THEN value END AS finite FROM ({points}))
WHERE isfinite(x) {within}
GROUP BY ALL ORDER BY series_no, run_no, bucket
"""


# A bucket of a point that is not shown is -1.
_EACH: Final = """
SELECT series_no, run_no, step, value, {place} AS place,
       CASE WHEN isfinite(x) {within} THEN {bucket} ELSE -1 END AS bucket
FROM ({points})
"""
_SMOOTHED_MAX: Final = 20_000_000


def chart(
    connection: duckdb.DuckDBPyConnection,
    question: ChartQuestion,
    as_of: int | None,
    live: Sequence[LivePoints] = (),
) -> Chart:
    """The series of the runs that have the metrics: by run, then by metric, as they are asked.

    `live` points come after all others; `as_of` is the position of the log that they follow.
    """
    runs = _run_numbers(connection, question.run_ids, as_of)
    series = _numbered(connection, question, live)
    wanted = {series[name]: name for name in question.metrics if name in series}
    if not (runs and wanted):
        return NO_CHART
    logged = points_then(connection, as_of, runs)
    numbers = {run_id: run_no for run_no, run_id in runs.items()}
    with together(connection, logged, live, numbers, series, as_of or 0) as source:
        points = _points(question, source, runs, series, as_of)
        if points is None:
            return NO_CHART
        return _gathered(connection, question, points, runs, wanted)


def _numbered(
    connection: duckdb.DuckDBPyConnection, question: ChartQuestion, live: Sequence[LivePoints]
) -> dict[str, int]:
    """The numbers of the metrics and of the axis; one that only live points have is negative."""
    other = [question.x.removeprefix(METRIC)] if question.x.startswith(METRIC) else []
    names = [*question.metrics, *other]
    known = series_numbers(connection, names)
    series = {name: known[name, ""] for name in names if (name, "") in known}
    for place, one in enumerate(live):
        if one.metric in names:
            series.setdefault(one.metric, -1 - place)
    return series


def _gathered(
    connection: duckdb.DuckDBPyConnection,
    question: ChartQuestion,
    points: str,
    runs: dict[int, str],
    wanted: dict[int, str],
) -> Chart:
    low, high = question.between or (-math.inf, math.inf)
    within = "" if question.between is None else f"AND x BETWEEN {low!r} AND {high!r}"
    extent = connection.execute(_EXTENT.format(points=points, within=within)).fetchall()[0]
    if extent[0] is None:
        return NO_CHART
    parts = {
        "points": points,
        "within": within,
        "bucket": _bucket(extent[0], extent[1], question),
        "place": _PLACE.format(""),
    }
    table = answer(connection.sql(_BUCKETS.format(**parts)))
    smooth = None
    if question.smooth is not None:
        smooth = _smoothed(connection, _EACH.format(**parts), points, question.smooth)
    return _chart(table, question, runs, wanted, smooth)


def _smoothed(
    connection: duckdb.DuckDBPyConnection, each: str, points: str, half_life: float
) -> Floats:
    """The smoothed value at the last finite one of each bucket that has some, as they are sorted.

    Raises InvalidInput if the points do not fit into memory.
    """
    [(count,)] = connection.execute(f"SELECT count(*) FROM ({points})").fetchall()
    if count > _SMOOTHED_MAX:
        raise InvalidInput(
            f"{count:,} points are too many to smooth at once, the most are {_SMOOTHED_MAX:,}; "
            "choose fewer runs or metrics"
        )
    table = answer(connection.sql(each))
    columns = arrays(table, "series_no", "run_no", "place", "step", "value", "bucket")
    order = np.lexsort(columns[2::-1])
    series_no, run_no, _, step, value, bucket = (column[order] for column in columns)
    begins = np.zeros(len(value), bool)
    begins[group_starts(series_no, run_no)] = True
    means = smoothed(step, value, half_life, begins=begins)
    shown = np.flatnonzero(np.isfinite(value) & (bucket >= 0))
    shown = shown[np.lexsort((bucket[shown], run_no[shown], series_no[shown]))]
    keys = (series_no[shown], run_no[shown], bucket[shown])
    ends = np.append(group_starts(*keys)[1:], len(shown)) - 1 if len(shown) else shown
    return np.asarray(means[shown[ends]])


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
    question: ChartQuestion,
    source: str,
    runs: dict[int, str],
    series: dict[str, int],
    as_of: int | None,
) -> str | None:
    """The query of the points with their x; None if the metric of the axis does not exist."""
    until = "" if as_of is None else "AND {}.position <= " + str(as_of)
    chosen = {"points": source, "runs": ", ".join(map(str, runs))}
    x, joined = {
        STEP: ("p.step::DOUBLE", ""),
        TIME: ("p.time / 1e6", ""),
        SINCE: (
            "(p.time - s.begun_at) / 1e6",
            _STARTS.format(holds=Conditions(as_of).current("s")),
        ),
    }.get(question.x, ("o.x", ""))
    if question.x.startswith(METRIC):
        series_no = series.get(question.x.removeprefix(METRIC))
        if series_no is None:
            return None
        joined = _OTHER.format(
            **chosen, series_no=series_no, place=_PLACE.format("o."), until=until.format("o")
        )
    numbers = ", ".join(str(series[name]) for name in question.metrics if name in series)
    return _POINTS.format(**chosen, x=x, joined=joined, series=numbers, until=until.format("p"))


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
    table: Table,
    question: ChartQuestion,
    runs: dict[int, str],
    wanted: dict[int, str],
    smooth: Floats | None,
) -> Chart:
    series_no, run_no, bucket, x, last = arrays(table, "series_no", "run_no", "bucket", "x", "last")
    others = ("least", "greatest", "mean", "deviation", "n", "n_nan", "n_positive", "n_negative")
    columns = [last, *arrays(table, *others)]
    if smooth is not None:
        columns.append(np.full(len(last), np.nan))
        columns[-1][~np.isnan(last)] = smooth
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
