"""Differences by lanes are those that a loop finds, or none."""

from __future__ import annotations

from array import array
from itertools import accumulate, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runlore.storage.lanes import LaneNumbers, in_thousands, narrow_differences
from tests.strategies import int64s

MAX = 2**63 - 1


def check(numbers: list[int]) -> None:
    found = narrow_differences(array("q", numbers))
    differences = [b - a for a, b in pairwise(numbers)]
    if found is None:
        assert (
            not differences
            or min(numbers) < 0
            or not 0 <= min(differences) <= max(differences) < 2**31
            or len(numbers) < 2
        )
        return
    nbytes, content = found
    if nbytes == 0:
        assert len(set(differences)) == 1
        return
    assert list(array({1: "b", 2: "h", 4: "i"}[nbytes], content)) == differences


@given(st.lists(int64s, max_size=20))
@example([-1, 0])
@example([-1, 0, 0])
@example([0, MAX])
@example([MAX, 0])
@example([5, 4, 5])
@example([0, MAX, MAX])
@example([MAX - 1, MAX])
@example([0, 0, 0])
@example([3])
def test_any_numbers(numbers: list[int]) -> None:
    check(numbers)


@given(
    st.integers(0, 2**62),
    st.lists(st.integers(0, 2**7) | st.integers(-3, 2**15) | st.integers(0, 2**32), max_size=30),
)
def test_numbers_that_mostly_increase(first: int, differences: list[int]) -> None:
    check(list(accumulate([first, *differences])))


@pytest.mark.parametrize("edge", [2**7, 2**15, 2**31])
@pytest.mark.parametrize("offset", [-2, -1, 0, 1])
def test_differences_at_the_edge_of_each_width(edge: int, offset: int) -> None:
    check([10, 10, 10 + edge + offset, 11 + edge + offset])
    check(list(range(7, 7 + 5 * (edge + offset), edge + offset)))


def test_regular_numbers_take_no_room() -> None:
    assert narrow_differences(array("q", range(3, 30_000, 7))) == (0, b"")
    assert narrow_differences(array("q", [5] * 100)) == (0, b"")


def check_thousands(numbers: list[int]) -> None:
    expected = array("q", [number // 1_000 for number in numbers])
    found = in_thousands(array("q", numbers))
    assert len(found) == len(expected)
    if expected:
        assert found[0] == expected[0]
    assert narrow_differences(found) == narrow_differences(expected)
    assert list(found) == list(expected)
    assert list(found[1:3]) == list(expected[1:3])


@given(
    st.integers(-(2**62), 2**62),
    st.lists(st.integers(0, 2**31) | st.integers(-(2**33), 2**33), max_size=200),
)
@example(0, [0] * 100)
@example(1_795_978_148_659_665_123, [*range(0, 2**31, 2**24)])
@example(1_795_978_148_659_665_999, [2**31 - 1] * 100)
@example(999, [0, 2**31 - 1000, 2**31 - 999, *[5] * 80])
def test_thousands_are_those_of_a_loop(first: int, offsets: list[int]) -> None:
    check_thousands([first + offset for offset in offsets])


@pytest.mark.parametrize("first", [0, 999, 1_000, 1_795_978_148_659_665_001])
def test_thousands_at_every_distance_that_takes_the_fast_way(first: int) -> None:
    numbers = [first + number for number in range(0, 2**31, 262_139)]
    assert isinstance(in_thousands(array("q", numbers)), LaneNumbers)
    check_thousands(numbers)
