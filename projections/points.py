"""Batches of logged values to sorted rows of `metric_points`, thousands of blocks at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from runlore.domain.fact import Fact
from runlore.storage.value_arrays import (
    Ints,
    check_described,
    floats,
    whole_numbers,
)
from runlore.storage.value_reader import read_batch, unpack_batch

SeriesKey = tuple[str, str, str]  # metric name, column ("" for a scalar), kind

TYPES: Final = "fibsn"
"""What was logged: float, whole number, bool, text, None; a point's `type` is a place in here."""

_EXACT: Final = 2**53
_FLOAT, _INT, _BOOL, _TEXT, _NONE = range(len(TYPES))

SCHEMA: Final = pa.schema(
    {
        "series_no": pa.int32(),
        "run_no": pa.int64(),
        "step": pa.int64(),
        "time": pa.int64(),
        "value": pa.float64(),
        "text": pa.string(),
        "type": pa.uint8(),
        "position": pa.int64(),
        "idx": pa.int32(),
    }
)

ROWS_AT_ONCE: Final = 4_000_000  # 250 MB; a batch of events may hold any number of values.


class Part(NamedTuple):
    """One column of one block, packed as it is in its batch, and where it belongs."""

    series_no: int
    run_no: int
    position: int
    n: int
    places: Sequence[Any]
    steps: Sequence[Any]
    times: Sequence[Any]
    values: Sequence[Any]


class Points(NamedTuple):
    """Rows by series, run, position and, but for rare ties of parts, place in the batch.

    `series_no`, `run_no`, `position` and `n` have an item per part, the others one per row.
    `valid` is None where every row has a value.
    """

    series_no: Ints
    run_no: Ints
    position: Ints
    n: Ints
    places: Ints
    steps: Ints
    times: Ints
    values: NDArray[np.float64]
    valid: NDArray[np.bool_] | None
    text: pa.Array
    type: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.values)

    def table(self) -> pa.Table:
        """The rows as SQL holds them."""
        return pa.Table.from_arrays(
            [
                pa.array(np.repeat(self.series_no.astype(np.int32), self.n)),
                pa.array(np.repeat(self.run_no, self.n)),
                pa.array(self.steps),
                pa.array(self.times),
                self.value(),
                self.text,
                pa.array(self.type),
                pa.array(np.repeat(self.position, self.n)),
                pa.array(self.places.astype(np.int32)),
            ],
            schema=SCHEMA,
        )

    def value(self) -> pa.Array:
        """The values with their nulls. NaN is a value of its own, and no missing one."""
        missing = None if self.valid is None else ~self.valid
        return pa.array(self.values, mask=missing, from_pandas=False)


def points_of(
    batches: Sequence[tuple[int, Fact]],
    numbers: dict[SeriesKey, int],
    rows_at_once: int = ROWS_AT_ONCE,
) -> Iterator[Points]:
    """The points of the batches, (run number, `run.values_logged`) each, in bounded portions.

    A portion holds whole batches, and those after it later ones. Series that are not in
    `numbers` get the next number there. Raises LogCorrupt for a batch that is damaged.
    """
    waiting: list[tuple[int, Fact]] = []
    parts: list[Part] = []
    rows = 0
    for run_no, fact in batches:
        waiting.append((run_no, fact))
        rows += _add_parts(parts, run_no, fact, numbers)
        if rows >= rows_at_once:
            yield _points(parts, waiting)
            parts, waiting, rows = [], [], 0
    if parts:
        yield _points(parts, waiting)


def _add_parts(parts: list[Part], run_no: int, fact: Fact, numbers: dict[SeriesKey, int]) -> int:
    """Adds the parts of a batch, and returns how many rows they have."""
    assert fact.data is not None, "the fold keeps only batches that it can read"
    position = fact.position
    before = len(parts)
    for described, block in unpack_batch(fact.data):
        n = described["n"]
        if n < 1:
            continue
        check_described(described, block)
        name, kind = described["name"], described["kind"]
        places, steps, times = block["i"], block["s"], block["t"]
        for column, values in zip(described["columns"] or _SCALAR, block["v"], strict=True):
            key = (name, column, kind)
            series_no = numbers.get(key)
            if series_no is None:
                series_no = numbers[key] = len(numbers) + 1
            parts.append(Part(series_no, run_no, position, n, places, steps, times, values))
    return sum(part.n for part in parts[before:])


_SCALAR: Final = ("",)


def _points(parts: Sequence[Part], batches: Sequence[tuple[int, Fact]]) -> Points:
    try:
        return _sorted_points(parts)
    except Exception:
        for _, fact in batches:  # Each by itself, to say which one it is.
            assert fact.data is not None
            read_batch(fact.data)
        raise


def _sorted_points(parts: Sequence[Part]) -> Points:
    series_no, run_no, position, n, first = (
        np.array(column, np.int64)
        for column in zip(
            *((p.series_no, p.run_no, p.position, p.n, p.places[0]) for p in parts), strict=True
        )
    )
    order = np.lexsort((first, position, run_no, series_no))
    parts = [parts[place] for place in order.tolist()]
    n = n[order]
    values, valid, text, types = _values([part.values for part in parts], n)
    return Points(
        series_no[order],
        run_no[order],
        position[order],
        n,
        whole_numbers([part.places for part in parts], n),
        whole_numbers([part.steps for part in parts], n),
        whole_numbers([part.times for part in parts], n),
        values,
        valid,
        text,
        types,
    )


class Values(NamedTuple):
    """Values as SQL holds them; `text` is what `value` cannot hold exactly."""

    value: NDArray[np.float64]
    valid: NDArray[np.bool_] | None
    text: pa.Array
    type: NDArray[np.uint8]


def _values(packed: Sequence[Sequence[Any]], n: Ints) -> Values:
    total = int(n.sum())
    kinds = [column[0] for column in packed]
    if kinds.count("f8") == len(kinds):
        value = floats([column[1] for column in packed], n)
        return Values(value, None, pa.nulls(total, pa.string()), np.zeros(total, np.uint8))
    value = np.empty(total)
    valid = np.ones(total, bool)
    types = np.zeros(total, np.uint8)
    texts = np.full(total, None, object)
    for kind in set(kinds):
        chosen = np.fromiter((other == kind for other in kinds), bool, len(kinds))
        rows = np.repeat(chosen, n)
        contents = [column[1] for column in packed if column[0] == kind]
        if kind == "f8":
            value[rows] = floats(contents, n[chosen])
        elif kind == "i8":
            numbers = whole_numbers(contents, n[chosen])
            value[rows], types[rows] = numbers, _INT
            texts[rows] = _digits(numbers)
        else:
            value[rows], valid[rows], texts[rows], types[rows] = _others(kind, contents, n[chosen])
    return Values(
        value,
        None if valid.all() else valid,
        pa.array(texts, pa.string(), from_pandas=False),
        types,
    )


def _digits(numbers: Ints) -> NDArray[np.object_]:
    inexact = (numbers < -_EXACT) | (numbers > _EXACT)
    digits = np.full(len(numbers), None, object)
    digits[inexact] = list(map(str, numbers[inexact].tolist()))
    return digits


def _others(kind: str, contents: Sequence[Sequence[Any]], n: Ints) -> tuple[NDArray[Any], ...]:
    if kind != "any" or list(map(len, contents)) != n.tolist():
        raise ValueError(f"a column of kind {kind!r} does not hold as many values as it says")
    rows = [_one_as_sql(value) for content in contents for value in content]
    value, valid, text, types = zip(*rows, strict=True)
    texts = np.empty(len(rows), object)
    texts[:] = text
    return np.array(value, np.float64), np.array(valid), texts, np.array(types, np.uint8)


def _one_as_sql(value: object) -> tuple[float, bool, str | None, int]:
    if value is None:
        return 0.0, False, None, _NONE
    if isinstance(value, bool):
        return float(value), True, None, _BOOL
    if isinstance(value, float):
        return value, True, None, _FLOAT
    if isinstance(value, int):
        if -_EXACT <= value <= _EXACT:
            return float(value), True, None, _INT
        # Python caps decimal at some thousand digits; hexadecimal has no cap.
        text = str(value) if value.bit_length() < 10_000 else hex(value)
        return _nearest(value), True, text, _INT
    return 0.0, False, str(value), _TEXT


def _nearest(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def names_of(numbers: Mapping[SeriesKey, int], after: int) -> list[tuple[Any, ...]]:
    """The series that are newer than `after`, as rows of `store.series`."""
    return [(number, *key) for key, number in numbers.items() if number > after]
