"""Charts: metrics of many runs on one axis, compared with points that are gathered one by one."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from runlore.domain.errors import InvalidInput
from runlore.projections.charts import METRIC, Chart, ChartQuestion
from runlore.projections.live_points import LivePoints
from runlore.projections.reader import RunsReader
from runlore.projections.segment_files import BOUNDS, Bounds
from runlore.projections.smoothing import smoothed
from runlore.storage.value_codec import Series
from tests.examples import few
from tests.logged_values import Record
from tests.projections.histories import History, reader_of

NAMES = ("loss", "acc")
RUNS = ("r0", "r1")
SMALL = Bounds(seal_rows=4, fan=2, merged_max_rows=30)
# DuckDB adds the values in the order in which its threads come to them.
SUMS = {"mean", "deviation", "smooth"}
values = st.floats() | st.integers(-3, 3) | st.booleans() | st.none() | st.just("text")
records = st.builds(
    Record,
    st.sampled_from([Series(name) for name in NAMES] + [Series("loss", ("a",), "row")]),
    st.integers(-20, 20) | st.integers(-(2**62), 2**62),
    st.integers(0, 10**12),
    values,
).map(lambda one: one._replace(value=(one.value,)) if one.series.columns else one)


@pytest.mark.long
@settings(deadline=None, max_examples=few(20))
@given(
    st.lists(st.lists(records, min_size=1, max_size=8), min_size=1, max_size=5),
    st.sampled_from(["step", "time", "since", f"{METRIC}acc"]),
    st.integers(1, 50),
    st.none() | st.tuples(st.integers(-30, 5), st.integers(5, 30)),
    st.sampled_from([BOUNDS, SMALL]),
    st.none() | st.sampled_from([0.5, 10.0]),
)
@example([[Record(Series("loss"), 5, 0, math.inf)]], "step", 1, None, BOUNDS, 1.0)
@example(
    [[Record(Series("loss"), s, 0, 1.0) for s in (-(2**62), 2**62)]], "step", 2, None, BOUNDS, None
)
def test_a_bucket_has_what_its_points_say(
    logged: list[list[Record]],
    x: str,
    buckets: int,
    between: tuple[int, int] | None,
    bounds: Bounds,
    smooth: float | None,
) -> None:
    history = History()
    history.experiment()
    for run_id in RUNS:
        history.run(run_id)
    with (
        tempfile.TemporaryDirectory() as name,
        reader_of(history.log, Path(name), bounds) as reader,
    ):
        half = 0
        for number, batch in enumerate(logged):
            at = history.values(RUNS[number % 2], batch)
            half = half or at
            if number % 2:
                reader.projection.refresh()
        question = ChartQuestion(RUNS, NAMES, x, between, buckets, smooth)
        for as_of in (None, half):
            then = reader if as_of is None else reader.at(as_of)
            until = "" if as_of is None else f"WHERE position <= {as_of}"
            rows = reader.sql(
                f"SELECT run_id, metric, step, epoch_us(time), value, started_at FROM "
                f"(FROM metric_points {until}) JOIN (SELECT run_id, epoch_us(started_at) "
                "AS started_at FROM runs) USING (run_id) WHERE kind = 'scalar' "
                "AND value IS NOT NULL ORDER BY position, index"
            ).fetchall()
            check(then.chart(question), rows, question)
        _check_live(reader, history, logged[-1], question)


def _check_live(
    reader: RunsReader, history: History, batch: list[Record], question: ChartQuestion
) -> None:
    """Live points give the chart that is there once they are in the log."""
    head = history.log.last_position()
    live = []
    for name in NAMES:
        own = [one for one in batch if one.series == Series(name) and _is_number(one.value)]
        if own:
            values = np.array([float(one.value) for one in own])
            steps, times = (np.array([one[part] for one in own]) for part in (1, 2))
            live.append(LivePoints("r1", name, steps, times, values))
    before = reader.at(head).chart(question, live)
    history.values("r1", batch)
    for one, other in zip(before.series, reader.chart(question).series, strict=True):
        for name in set(one._fields) - SUMS:
            np.testing.assert_equal(getattr(one, name), getattr(other, name))
        for name in SUMS:
            found, expected = getattr(one, name), getattr(other, name)
            assert (found is None) == (expected is None)
            if found is not None:
                np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def check(chart: Chart, rows: list[Any], question: ChartQuestion) -> None:
    """All that must hold of a chart, whatever its buckets are."""
    points = points_of(rows, question)
    assert [(one.run_id, one.metric) for one in chart.series] == [
        (run_id, metric)
        for run_id in question.run_ids
        for metric in question.metrics
        if points.get((run_id, metric))
    ]
    assert len(chart.x) <= question.buckets
    assert (np.diff(chart.x) > 0).all()
    left: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for one in chart.series:
        own = points[one.run_id, one.metric]
        assert one.total == len(own)
        ends = chart.x[one.places]
        assert (np.diff(one.places) > 0).all()
        for number, end in enumerate(ends.tolist()):
            place = int(one.places[number])
            begin = chart.x[place - 1] if place else -math.inf
            bucket = [value for at, value in own if begin < at <= end]
            finite = [value for value in bucket if math.isfinite(value)]
            assert one.n[number] == len(bucket) > 0
            assert one.n_nan[number] == sum(map(math.isnan, bucket))
            assert one.n_positive[number] == bucket.count(math.inf)
            assert one.n_negative[number] == bucket.count(-math.inf)
            summary = (one.last[number], one.least[number], one.greatest[number])
            if finite:
                assert summary == (finite[-1], min(finite), max(finite))
                if max(map(abs, finite)) < 1e150:
                    assert one.deviation[number] == pytest.approx(np.std(finite), rel=1e-6)
            else:
                assert all(map(math.isnan, (*summary, one.mean[number])))
        left[one.run_id, one.metric] = own
        assert (one.smooth is None) == (question.smooth is None)
    ats = {at for own in left.values() for at, _ in own}
    assert set(chart.x.tolist()) <= ats
    if question.x == "step" and ats and max(ats) - min(ats) < question.buckets:
        assert set(chart.x.tolist()) == ats  # Each step has its own bucket.


def points_of(
    rows: list[Any], question: ChartQuestion
) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """The points (x, value) of each run and metric in the order of logging."""
    others = {
        (run_id, step): value
        for run_id, metric, step, _, value, _ in rows
        if METRIC + metric == question.x
    }
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for run_id, metric, step, time, value, started in rows:
        x = {
            "step": float(step),
            "time": time / 1e6,
            "since": (time - started) / 1e6,
        }.get(question.x, others.get((run_id, step)))
        if x is None or not math.isfinite(x):
            continue
        if question.between is None or question.between[0] <= x <= question.between[1]:
            points.setdefault((run_id, metric), []).append((x, value))
    return points


def test_a_mean_is_that_of_the_finite_values_of_a_bucket() -> None:
    history = History()
    history.experiment()
    history.run("r0")
    logged = [1.0, math.nan, 3.0, math.inf, 8.0, -math.inf]
    history.values("r0", [Record(Series("loss"), n, 0, value) for n, value in enumerate(logged)])
    with tempfile.TemporaryDirectory() as name, reader_of(history.log, Path(name)) as reader:
        (series,) = reader.chart(ChartQuestion(["r0"], ["loss"], buckets=1)).series
        assert series.mean.tolist() == [4.0]
        (series,) = reader.chart(ChartQuestion(["r0"], ["loss"], buckets=6)).series
        assert series.last[[0, 2, 4]].tolist() == [1.0, 3.0, 8.0]


def test_smoothed_values_are_those_of_the_whole_curve() -> None:
    """Neither the part that is shown nor the number of its buckets changes them."""
    history = History()
    history.experiment()
    logged: dict[str, NDArray[np.float64]] = {}
    for run_id in RUNS:
        history.run(run_id)
        logged[run_id] = np.sin(np.arange(300) / 20) + (len(logged) + np.arange(300)) % 3
        logged[run_id][100] = math.nan
        for start in (0, 150):
            history.values(
                run_id,
                [
                    Record(Series("loss"), 5 * n, 0, value)
                    for n, value in enumerate(logged[run_id].tolist()[start : start + 150], start)
                ],
            )
    steps = 5 * np.arange(300)
    with tempfile.TemporaryDirectory() as name, reader_of(history.log, Path(name)) as reader:
        for between, buckets in ((None, 1_000), (None, 7), ((500.0, 900.0), 1_000)):
            chart = reader.chart(ChartQuestion(RUNS, ["loss"], "step", between, buckets, 40.0))
            for one in chart.series:
                whole = smoothed(steps, logged[one.run_id], 40.0)
                assert one.smooth is not None
                for place, last, found in zip(one.places, one.last, one.smooth, strict=True):
                    [at] = [n for n, step in enumerate(steps) if step == chart.x[place]]
                    assert np.isnan(last) == np.isnan(found)
                    if not np.isnan(last):
                        at = at if last == logged[one.run_id][at] else at - 1  # After a gap.
                        assert found == pytest.approx(whole[at])


def test_nothing_of_what_is_asked_for_is_no_chart() -> None:
    history = History()
    history.experiment()
    history.run("r0")
    history.values("r0", [Record(Series("loss"), 0, 0, 1.0)])
    with tempfile.TemporaryDirectory() as name, reader_of(history.log, Path(name)) as reader:
        for question in (
            ChartQuestion([], ["loss"]),
            ChartQuestion(["r9"], ["loss"]),
            ChartQuestion(["r0"], []),
            ChartQuestion(["r0"], ["acc"]),
            ChartQuestion(["r0"], ["loss"], x=f"{METRIC}acc"),
            ChartQuestion(["r0"], ["loss"], between=(1, 2)),
        ):
            chart = reader.chart(question)
            assert not chart.series
            assert not len(chart.x)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"x": "epoch"}, "metrics.NAME"),
        ({"x": "metrics."}, "metrics.NAME"),
        ({"smooth": 0.0}, "more than 0"),
        ({"smooth": math.nan}, "more than 0"),
        ({"buckets": 0}, "from 1 to 10,000"),
        ({"buckets": 10_001}, "from 1 to 10,000"),
        ({"between": (2, 1)}, "lower one first"),
        ({"between": (math.nan, 1)}, "finite"),
    ],
    ids=str,
)
def test_a_chart_that_cannot_be_asked_for_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        ChartQuestion(["r0"], ["loss"], **options)
