from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.shown.ticks import Tick, linear_ticks, log_ticks, time_ticks

FINITE = st.floats(allow_nan=False, allow_infinity=False)
MOST = sys.float_info.max
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?")


def text(ticks: object) -> str:
    assert isinstance(ticks, list)
    return " ".join(tick.text for tick in ticks)


@pytest.mark.parametrize(
    "low, high, whole, expected",
    [
        (0, 0.35, False, "0 0.1 0.2 0.3"),
        (-1, 1, False, "-1.0 -0.5 0 0.5 1.0"),
        (0, 3, True, "0 1 2 3"),
        (0, 1, True, "0 1"),
        (0, 100_000, True, "0 20000 40000 60000 80000 100000"),
        (0, 3e-7, False, "0 5e-8 1e-7 1.5e-7 2e-7 2.5e-7 3e-7"),
        (1e9, 2e9, False, "1.0e9 1.2e9 1.4e9 1.6e9 1.8e9 2.0e9"),
        (-MOST, MOST, False, "-1e308 0 1e308"),
        (5, 5, False, "5"),
        (1e16, 1e16 + 2, False, "1e16 1e16"),
        (0, 5e-324, False, "0 4.941e-324"),
    ],
    ids=str,
)
def test_linear_ticks_are_round(low: float, high: float, whole: bool, expected: str) -> None:
    assert text(linear_ticks(low, high, 6, whole=whole)).replace(".0e", "e") == expected.replace(
        ".0e", "e"
    )


@pytest.mark.parametrize(
    "low, high, expected",
    [
        (1e-3, 1e3, "0.001 0.01 0.1 1 10 100 1000"),
        (1e-30, 1e10, "1e-30 1e-24 1e-18 1e-12 1e-6 1 1e6"),
        (0.2, 0.9, "0.2 0.5"),
        (3, 4, "3 4"),
        (1e-320, 1e308, "1e-316 1e-212 1e-108 0.0001 1e100 1e204"),
    ],
    ids=str,
)
def test_logarithmic_ticks_are_powers_of_ten(low: float, high: float, expected: str) -> None:
    ticks = log_ticks(low, high, 7)

    if low < 1e-300:
        assert 3 <= len(ticks) <= 9
    else:
        assert text(ticks) == expected


@pytest.mark.parametrize(
    "span, expected",
    [
        (4, "12:00:00 12:00:01 12:00:02 12:00:03 12:00:04"),
        (3_600, "12:00 12:15 12:30 12:45 13:00"),
        (40 * 3_600, "03-03 12:00 03-04 00:00 03-04 12:00 03-05 00:00"),
        (86_400 * 20, "03-05 03-12 03-19"),
        (86_400 * 400, "06-03 09-11 12-20 03-30"),
    ],
)
def test_ticks_of_times_are_round(span: float, expected: str) -> None:
    start = 1_772_539_200  # 2026-03-03 12:00
    ticks = time_ticks(start, start + span, 5)

    if span < 86_400 * 100:
        assert text(ticks) == expected
    else:
        assert len(ticks) >= 3


@given(FINITE, FINITE, st.integers(min_value=2, max_value=20), st.booleans())
def test_ticks_lie_on_the_axis_and_are_few(a: float, b: float, most: int, whole: bool) -> None:
    low, high = sorted((a, b))
    room = (high / 2 - low / 2) * 1e-6

    ticks = linear_ticks(low, high, most, whole=whole)

    assert len(ticks) <= 4 * most + 2
    assert all(low - room <= tick.at <= high + room for tick in ticks)
    assert all(isinstance(tick, Tick) and _NUMBER.fullmatch(tick.text) for tick in ticks)


@given(
    st.floats(min_value=5e-324, max_value=MOST),
    st.floats(min_value=5e-324, max_value=MOST),
    st.integers(min_value=2, max_value=20),
)
def test_ticks_of_any_logarithmic_axis_lie_on_it(a: float, b: float, most: int) -> None:
    low, high = sorted((a, b))

    ticks = log_ticks(low, high, most)

    assert ticks and len(ticks) <= 3 * most + 4
    assert all(low * 0.999 <= tick.at <= high / 0.999 for tick in ticks)


def test_times_whose_distance_is_no_number_have_their_ends() -> None:
    ticks = time_ticks(-1.7e308, 1.7e308, 5)

    assert [tick.at for tick in ticks] == [-1.7e308, 1.7e308]
