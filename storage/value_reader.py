"""From columnar batches back to values: the reading half of `value_codec`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from runlore.storage.codec import unpacked
from runlore.storage.errors import LogCorrupt
from runlore.storage.lanes import LaneNumbers
from runlore.storage.value_codec import Part, Series, kind_of, series_of, unpack_other

_TYPECODES = {"b": "<i1", "h": "<i2", "i": "<i4", "q": "<i8"}
PAYLOAD_MAX_NBYTES: Final = 2**28
"""What a payload may unpack to. Ours are far smaller; a forged length must not exhaust memory."""

VALUES_MAX: Final = 10_000_000
"""In one batch. Ours have thousands, arrays may have more."""

Ints = NDArray[np.int64]


class _PerThread(threading.local):
    """Making one takes four times as long as unpacking a small batch; it serves one thread only."""

    def __init__(self) -> None:
        self.decompressor = zstandard.ZstdDecompressor()


_per_thread = _PerThread()


@dataclass(frozen=True, slots=True)
class Block:
    """One series' part of a batch.

    `index` (place in the batch), `steps` and `times` (µs since 1970 UTC) have shape (n,) and
    dtype int64. `columns` holds one array per column, or a single one for a scalar: float64,
    int64, or object if the values have other or mixed types.
    """

    series: Series
    index: Ints
    steps: Ints
    times: Ints
    columns: tuple[NDArray[Any], ...]

    def __len__(self) -> int:
        return len(self.index)

    def where(self, chosen: NDArray[np.bool_]) -> Block:
        """The rows that are chosen."""
        columns = tuple(column[chosen] for column in self.columns)
        return Block(
            self.series, self.index[chosen], self.steps[chosen], self.times[chosen], columns
        )


def read_batch(data: dict[str, Any], *, name: str | None = None) -> list[Block]:
    """The blocks in a `run.values_logged` event's data; those of one metric if `name` is given.

    Raises LogCorrupt if the data is damaged.
    """
    blocks = unpack_batch(data)
    try:
        check_count(sum(_rows_of(described) for described, _ in blocks))
        return [
            _read_block(described, block)
            for described, block in blocks
            if name is None or described["name"] == name
        ]
    except Exception as error:
        raise damaged_batch(data, error) from error


def unpack_batch(data: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each series as the batch describes it, with its block, still packed.

    Raises LogCorrupt if they cannot be unpacked.
    """
    try:
        payload = data["payload"]
        if payload is None:
            raise ValueError(f"payload is stored elsewhere: {data['payload_ref']}")
        nbytes = zstandard.frame_content_size(payload)
        if not 0 <= nbytes <= PAYLOAD_MAX_NBYTES:
            raise ValueError(f"payload claims to unpack to {nbytes:,} bytes")
        packed = _per_thread.decompressor.decompress(payload, max_output_size=PAYLOAD_MAX_NBYTES)
        blocks = unpacked(packed, ext_hook=unpack_other)
        return list(zip(data["series"], blocks, strict=True))
    except Exception as error:
        raise damaged_batch(data, error) from error


def _rows_of(described: dict[str, Any]) -> int:
    """The values that a series claims to have. Raises ValueError if that is not a count."""
    n = described["n"]
    if type(n) is not int or n < 0:
        raise ValueError(f"a series claims to have {n!r:.40} values")
    return n * max(1, len(described.get("columns") or ()))


def check_count(n: int) -> None:
    """Raise ValueError if a batch claims more values than it can have: arrays are made of them."""
    if n > VALUES_MAX:
        raise ValueError(f"it claims to have {n:,} values")


def damaged_batch(data: dict[str, Any], error: Exception) -> LogCorrupt:
    """The error about a batch that cannot be read."""
    return LogCorrupt(
        f"batch {data.get('first_seq')} of writer {data.get('writer_id')} is damaged: "
        f"{error}; restore the log from a copy"
    )


def block_of(part: Part) -> Block:
    """A part that is not in a batch yet, as it will be read from one."""
    times = part.times.as_array() if isinstance(part.times, LaneNumbers) else part.times
    return Block(
        part.series,
        np.array(part.index, np.int64),
        np.array(part.steps, np.int64),
        np.array(times, np.int64),
        tuple(_array_of(column) for column in part.columns),
    )


def _array_of(column: Sequence[Any]) -> NDArray[Any]:
    kind = kind_of(column)
    if kind != "any":
        return np.array(column, {"f8": np.float64, "i8": np.int64}[kind])
    values = np.empty(len(column), object)
    values[:] = column
    return values


def _read_block(described: dict[str, Any], block: dict[str, Any]) -> Block:
    n, series = described["n"], series_of(described)
    held = len(block["v"])
    if held != max(1, len(series.columns)):
        raise ValueError(f"it has {held} columns of values for {len(series.columns)} names")
    if not all(type(text) is str for text in (*series.columns, series.name, series.kind)):
        raise ValueError("a series has a name that is not a text")
    return Block(
        series,
        _read_whole_numbers(block["i"], n),
        _read_whole_numbers(block["s"], n),
        _read_whole_numbers(block["t"], n),
        tuple(_read_values(column, n) for column in block["v"]),
    )


def _read_values(column: list[Any], n: int) -> NDArray[Any]:
    kind, content = column
    if kind == "f8":
        return np.frombuffer(content, "<f8", n)
    if kind == "i8":
        return _read_whole_numbers(content, n)
    if kind != "any" or len(content) != n:  # NumPy would spread a single value over the column.
        raise ValueError(f"column of kind {kind!r} does not hold {n} values")
    values = np.empty(n, object)
    values[:] = content
    return values


def _read_whole_numbers(column: list[Any], n: int) -> Ints:
    if len(column) == 2:
        first, stride = column
        if not type(first) is type(stride) is int:  # NumPy would spread a list over the rows.
            raise ValueError(f"{first!r:.40} and {stride!r:.40} are not whole numbers")
        if n == 1:
            return np.array((first,), np.int64)
        regular: Ints = first + stride * np.arange(n, dtype=np.int64)
        return regular
    first, typecode, content = column
    if typecode == "any":
        numbers = [first]
        for difference in content:
            numbers.append(numbers[-1] + difference)
        return np.array(numbers, np.int64)
    numbers_ = np.empty(n, np.int64)
    numbers_[0] = first
    numbers_[1:] = np.frombuffer(content, _TYPECODES[typecode], n - 1)
    return np.cumsum(numbers_, out=numbers_)
