"""Smoothing, compared with sums over all earlier values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runlore.domain.errors import InvalidInput
from runlore.projections.smoothing import check_half_life, smoothed

points = st.lists(
    st.tuples(
        st.integers(-5, 400),
        st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf]),
        st.booleans(),
    ),
    max_size=40,
)


def by_hand(points: list[tuple[int, float, bool]], half_life: float) -> list[float]:
    """The definition: a weighted mean over the points since the last beginning."""
    found, since = [], 0
    for number, (step, value, begins) in enumerate(points):
        if begins or (number and (step < points[number - 1][0])):
            since = number
        if not math.isfinite(value):
            found.append(math.nan)
            since = number + 1
            continue
        held = points[since : number + 1]
        weights = [0.5 ** ((step - other) / half_life) for other, _, _ in held]
        weighted = sum(w * v for w, (_, v, _) in zip(weights, held, strict=True))
        found.append(weighted / sum(weights))
    return found


@given(points, st.sampled_from([0.01, 1.0, 7.5, 100.0, 1e9]), st.booleans())
@example([(0, math.inf, False), (1, 1.0, False), (2, 2.0, False)], 1e9, False)
@example([(0, 1.0, True), (5, 3.0, True), (5, 5.0, False)], 1.0, True)
def test_a_smoothed_value_is_the_weighted_mean_of_the_earlier_ones(
    points: list[tuple[int, float, bool]], half_life: float, several: bool
) -> None:
    if several:
        points = sorted(points, key=lambda one: one[0])
    steps = np.array([step for step, _, _ in points], np.int64)
    values = np.array([value for _, value, _ in points], np.float64)
    begins = np.array([begin for _, _, begin in points], bool)

    found = smoothed(steps, values, half_life, begins=begins)

    expected = by_hand(points, half_life)
    np.testing.assert_allclose(found, np.array(expected), rtol=1e-9, atol=1e-6)


def test_what_follows_changes_nothing() -> None:
    steps = np.arange(0, 100_000, 10, dtype=np.int64)
    values = np.asarray(np.sin(steps / 700) + steps % 7, np.float64)

    whole = smoothed(steps, values, 250.0)

    assert np.allclose(smoothed(steps[:3_000], values[:3_000], 250.0), whole[:3_000])


def test_the_distance_of_steps_counts_and_not_the_number_of_values() -> None:
    sparse, dense = np.arange(0, 1_000, 10), np.arange(0, 1_000, 1)

    far = smoothed(sparse, sparse.astype(float), 100.0)
    near = smoothed(dense, dense.astype(float), 100.0)

    assert abs(far[-1] - near[990]) < 6


def test_great_values_do_not_overflow() -> None:
    values = np.array([1.7e308, -1.7e308, 1.7e308])

    assert np.isfinite(smoothed(np.arange(3), values, 10.0)).all()


@pytest.mark.parametrize("given", [0, -1, math.nan, math.inf, True, "5", None], ids=str)
def test_a_distance_that_cannot_be_is_refused(given: object) -> None:
    with pytest.raises(InvalidInput, match="more than 0"):
        check_half_life(given)
