"""Cells of a table as its columns."""

from __future__ import annotations

import random

import numpy as np
from arro3.core import Array
from hypothesis import given
from hypothesis import strategies as st

from runlore.projections.arrow_tables import numbers, table_of_arrays, texts
from runlore.projections.wide_columns import columns_of_cells, no_texts

LENGTH = 6
CELLS = st.dictionaries(
    st.tuples(st.integers(0, LENGTH - 1), st.integers(0, 9)), st.none() | st.text(max_size=3)
)


@given(CELLS, st.lists(st.integers(0, 11), unique=True), st.randoms(use_true_random=False))
def test_each_cell_stands_at_its_place_in_its_column(
    cells: dict[tuple[int, int], str | None], wanted: list[int], chance: random.Random
) -> None:
    rows = list(cells.items())
    chance.shuffle(rows)
    table = table_of_arrays(
        {
            "place": np.array([place for (place, _), _ in rows], np.int64),
            "number": np.array([number for (_, number), _ in rows], np.int64),
            "value": texts([value for _, value in rows]),
        }
    )

    columns = list(columns_of_cells(table, "value", wanted, LENGTH))

    assert [column.to_pylist() for column in columns] == [
        [cells.get((place, number)) for place in range(LENGTH)] for number in wanted
    ]


def test_numbers_stay_what_they_are() -> None:
    values = np.array([0.1, np.nan, 3.0])
    table = table_of_arrays(
        {"place": np.array([2, 0, 1]), "number": np.array([7, 7, 8]), "value": numbers(values)}
    )

    [column] = columns_of_cells(table, "value", [7], 3)

    assert isinstance(column, Array)
    nan, none, tenth = column.to_pylist()
    assert nan != nan
    assert (none, tenth) == (None, 0.1)


def test_a_column_of_nothing_has_its_length() -> None:
    assert no_texts(3).to_pylist() == [None] * 3
    assert no_texts(0).to_pylist() == []
