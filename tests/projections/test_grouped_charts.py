"""Groups of runs in a chart, compared with means that are taken one by one; and outliers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.projections.charts import Chart, ChartSeries
from runlore.projections.grouped_charts import grouped
from runlore.projections.outliers import span_without_outliers

values = st.floats(-100, 100) | st.just(math.nan)
curves = st.dictionaries(st.integers(0, 9), values, min_size=1)


def series_of(run_id: str, points: dict[int, float], smooth: bool = False) -> ChartSeries:
    """A series whose buckets have one point each."""
    places = np.array(sorted(points))
    column = np.array([points[place] for place in sorted(points)])
    ones, none = np.ones(len(places), np.int64), np.zeros(len(places), np.int64)
    spread = (column, column, column, column, np.zeros(len(places)))
    return ChartSeries(
        run_id, "loss", places, *spread, ones, none, none, none, column / 2 if smooth else None
    )


def held_at(points: dict[int, float], place: int) -> float | None:
    """The value of a run at a place: the last finite one, between its first and its last."""
    finite = {at: value for at, value in points.items() if math.isfinite(value)}
    if not finite or place < min(finite) or place > max(finite):
        return None
    return finite[max(at for at in finite if at <= place)]


@given(st.lists(curves, min_size=1, max_size=4), st.booleans())
def test_a_group_has_the_mean_of_its_runs_at_each_place(
    runs: list[dict[int, float]], smooth: bool
) -> None:
    chart = Chart(np.arange(10.0), [series_of(str(n), one, smooth) for n, one in enumerate(runs)])
    groups = {str(n): "ab"[n % 2] for n in range(len(runs)) if n != 3}

    found = {one.group: one for one in grouped(chart, groups)}

    assert found.keys() == set(groups.values())
    for name, one in found.items():
        own = [runs[int(run_id)] for run_id in one.run_ids]
        assert one.run_ids == [run_id for run_id in groups if groups[run_id] == name]
        expected = {
            place: [value for points in own if (value := held_at(points, place)) is not None]
            for place in range(10)
        }
        assert one.places.tolist() == [place for place in range(10) if expected[place]]
        for n, place in enumerate(one.places.tolist()):
            there = expected[place]
            assert one.n[n] == len(there)
            assert one.mean[n] == pytest.approx(np.mean(there), abs=1e-9)
            assert one.deviation[n] == pytest.approx(np.std(there), abs=1e-6)
            assert (one.least[n], one.greatest[n]) == (min(there), max(there))
            if smooth:
                assert one.smooth is not None
                assert one.smooth[n] == pytest.approx(np.mean(there) / 2, abs=1e-9)


def test_the_span_leaves_far_outliers_out_and_counts_them() -> None:
    usual = {n: float(n % 5) for n in range(100)}
    series = [series_of("a", usual | {100: 1e9, 101: math.nan}), series_of("b", {5: -1e9, 6: 2.0})]

    found = span_without_outliers(series)

    assert found is not None
    assert (found.low, found.high) == (-5.0, 9.0)
    assert found.outside == 2


def test_a_curve_without_outliers_is_shown_whole() -> None:
    found = span_without_outliers([series_of("a", {0: 1.0, 1: 2.0, 2: 3.0})])

    assert found == (1.0, 3.0, 0)


def test_nothing_finite_has_no_span() -> None:
    assert span_without_outliers([series_of("a", {0: math.nan})]) is None
    assert span_without_outliers([]) is None
