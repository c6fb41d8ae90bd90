"""Many blocks read at once hold what each holds when it is read by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runlore.storage.value_arrays import floats, whole_numbers
from runlore.storage.value_codec import Series
from runlore.storage.value_reader import read_batch, unpack_batch
from tests.logged_values import Record, batch_of
from tests.strategies import int64s

BIG = 2**63 - 1

regular = st.tuples(
    st.integers(-1000, 1000), st.sampled_from([-3, 0, 1, 1, 7]), st.integers(1, 5)
).map(lambda parts: [parts[0] + parts[1] * place for place in range(parts[2])])
near = st.lists(st.integers(-(2**20), 2**20), min_size=1, max_size=6)
far = st.lists(int64s | st.sampled_from([BIG, -BIG - 1]), min_size=1, max_size=6)


def blocks_of(columns: list[list[int]]) -> list[dict[str, Any]]:
    records = [
        Record(Series(f"m{number}"), step, 0, float(step))
        for number, column in enumerate(columns)
        for step in column
    ]
    data = batch_of("w", 0, records).__dict__
    assert [block.steps.tolist() for block in read_batch(data)] == columns
    return [block for _, block in unpack_batch(data)]


@given(st.lists(regular | near | far, min_size=1, max_size=8))
@example([[BIG, -BIG - 1, BIG], [0], [5, 6, 7]])
@example([[0, 100], [1, 30_000], [2, 2**30], [3, 2**40], [4, -BIG], [5, 6]])
def test_whole_numbers_of_many_blocks_are_those_of_each(columns: list[list[int]]) -> None:
    blocks = blocks_of(columns)
    lengths = np.array(list(map(len, columns)), np.int64)

    numbers = whole_numbers([block["s"] for block in blocks], lengths)
    values = floats([block["v"][0][1] for block in blocks], lengths)

    flat = [number for column in columns for number in column]
    assert numbers.tolist() == flat
    assert values.tolist() == list(map(float, flat))


def test_a_block_of_the_wrong_length_is_refused_although_its_neighbour_makes_up_for_it() -> None:
    lengths = np.array([2, 2], np.int64)

    with pytest.raises(ValueError, match="do not hold as many"):
        floats([bytes(8), bytes(24)], lengths)
    with pytest.raises(ValueError, match="do not hold as many"):
        whole_numbers([[0, "b", b""], [0, "b", b"\1\1"]], lengths)
