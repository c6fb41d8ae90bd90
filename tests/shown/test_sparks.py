from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.shown.sparks import spark_picture, spark_text

ANY = st.lists(st.floats(), max_size=40)


@pytest.mark.parametrize(
    "values, width, text",
    [
        ([], 8, ""),
        ([1.0], 8, "▅"),
        ([2.0, 2.0, 2.0], 8, "▅▅▅"),
        ([0.0, 1.0], 8, "▁█"),
        ([0.0, 1.0], 0, ""),
        ([math.nan], 8, "·"),
        ([0.0, math.inf, 1.0, -math.inf], 8, "▁·█·"),
        ([float(n) for n in range(800)], 8, "▁▂▃▄▅▆▇█"),
        ([-sys.float_info.max, sys.float_info.max], 2, "▁█"),
        ([0.0, 5e-324], 2, "▅▅"),  # Half of the least number is none.
    ],
    ids=str,
)
def test_a_series_is_a_line_of_bars(values: list[float], width: int, text: str) -> None:
    assert spark_text(values, width) == text


def test_bars_can_be_of_ascii() -> None:
    assert spark_text([0, 1, 2, 3, 4, math.nan], 8, ascii_only=True) == "_.-=^?"


@given(ANY, st.integers(min_value=1, max_value=30))
def test_a_line_of_bars_is_never_longer_than_its_width(values: list[float], width: int) -> None:
    assert len(spark_text(values, width)) == min(width, len(values))


@given(ANY)
def test_a_small_picture_has_no_number_that_is_none(values: list[float]) -> None:
    shown = spark_picture(values)

    assert "nan" not in shown and "inf" not in shown
    assert bool(shown) == any(map(math.isfinite, values))


def test_a_gap_interrupts_the_line_and_a_single_value_is_a_dot() -> None:
    shown = spark_picture([1.0, 2.0, math.nan, 3.0])

    assert shown.count("<polyline") == 1
    assert shown.count("<circle") == 1
