"""Batches of logged values to the rows of `metric_points`, array by array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from runlore.domain.fact import Fact
from runlore.storage.value_reader import Block, read_batch

SeriesKey = tuple[str, str, str]  # metric name, column ("" for a scalar), kind

_EXACT: Final = 2**53

SCHEMA: Final = pa.schema(
    {
        "series_no": pa.int64(),
        "run_no": pa.int64(),
        "step": pa.int64(),
        "time": pa.int64(),
        "value": pa.float64(),
        "text": pa.string(),
        "type": pa.string(),
        "position": pa.int64(),
        "idx": pa.int64(),
    }
)


_ROWS_AT_ONCE: Final = 500_000  # 40 MB; a batch of events may hold any number of values.


class Part(NamedTuple):
    """One column of one block, and where it belongs."""

    series_no: int
    run_no: int
    position: int
    block: Block
    values: NDArray[Any]


class Values(NamedTuple):
    """A column of values as SQL holds it; `text` is what `value` cannot hold exactly."""

    value: pa.Array
    text: pa.Array
    type: pa.Array


def point_tables(
    batches: Sequence[tuple[int, Fact]], numbers: dict[SeriesKey, int]
) -> Iterator[pa.Table]:
    """The rows of the batches, (run number, `run.values_logged`) each, in bounded tables.

    Series that are not in `numbers` get the next number there.
    """
    parts: dict[np.dtype[Any], list[Part]] = {}
    waiting = 0
    for run_no, fact in batches:
        assert fact.data is not None, "the fold keeps only batches that it can read"
        for block in read_batch(fact.data):
            for column, values in zip(block.series.columns or ("",), block.columns, strict=True):
                key = (block.series.name, column, block.series.kind)
                series_no = numbers.setdefault(key, len(numbers) + 1)
                part = Part(series_no, run_no, fact.position, block, values)
                parts.setdefault(values.dtype, []).append(part)
                waiting += len(block)
        if waiting >= _ROWS_AT_ONCE:
            yield from map(_table, parts.values())
            parts, waiting = {}, 0
    yield from map(_table, parts.values())


def _table(parts: Sequence[Part]) -> pa.Table:
    """The rows of parts whose values are of one type, made column by column."""
    series_no, run_no, position, blocks, values = zip(*parts, strict=True)
    n = [len(block) for block in blocks]
    return pa.Table.from_arrays(
        [
            pa.array(np.repeat(series_no, n)),
            pa.array(np.repeat(run_no, n)),
            pa.array(np.concatenate([block.steps for block in blocks])),
            pa.array(np.concatenate([block.times for block in blocks])),
            *as_sql(np.concatenate(values)),
            pa.array(np.repeat(position, n)),
            pa.array(np.concatenate([block.index for block in blocks])),
        ],
        schema=SCHEMA,
    )


def as_sql(values: NDArray[Any]) -> Values:
    """The values as a double where that is exact, with a text beside it where it is not."""
    n = len(values)
    if values.dtype == np.float64:
        # Not from pandas: NaN is a value of its own, and no missing one.
        return Values(pa.array(values, from_pandas=False), pa.nulls(n, pa.string()), _all("f", n))
    if values.dtype == np.int64:
        inexact = (values < -_EXACT) | (values > _EXACT)
        digits = np.full(n, None, object)
        digits[inexact] = list(map(str, values[inexact].tolist()))
        doubles = pa.array(values.astype(np.float64))
        return Values(doubles, pa.array(digits, pa.string()), _all("i", n))
    doubles, texts, types = zip(*map(_one_as_sql, values.tolist()), strict=True)
    return Values(
        pa.array(doubles, pa.float64(), from_pandas=False),
        pa.array(texts, pa.string()),
        pa.array(types, pa.string()),
    )


def _one_as_sql(value: object) -> tuple[float | None, str | None, str]:
    if value is None:
        return None, None, "n"
    if isinstance(value, bool):
        return float(value), None, "b"
    if isinstance(value, float):
        return value, None, "f"
    if isinstance(value, int):
        if -_EXACT <= value <= _EXACT:
            return float(value), None, "i"
        # Python caps decimal at some thousand digits; hexadecimal has no cap.
        text = str(value) if value.bit_length() < 10_000 else hex(value)
        return _nearest(value), text, "i"
    return None, str(value), "s"


def _nearest(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _all(letter: str, n: int) -> pa.Array:
    return pa.repeat(pa.scalar(letter), n)


def names_of(numbers: Mapping[SeriesKey, int], after: int) -> list[tuple[Any, ...]]:
    """The series that are newer than `after`, as rows of `store.series`."""
    return [(number, *key) for key, number in numbers.items() if number > after]
