"""From logged values to columnar batches: one `ValuesLogged` event for thousands of values.

A series is a metric's name, its columns (none for a scalar) and its kind. The event describes each
series of the batch in the open (`{"name", "n"}`, with "columns", "kind" and "description" unless it
is a plain scalar) and holds one zstd-compressed payload: a msgpack list of blocks, one per series,
in the same order:

    {"i": place in the batch, "s": steps, "t": times (µs since 1970), "v": [one per column]}

Integers are `[start, stride]` if they are regular, as nearly all are, and otherwise the first one
and the narrow differences `[first, typecode, bytes]`. Values are 8-byte floats (`["f8", bytes]`),
integers (`["i8", column]`), or, if a column mixes types or holds text, bools, None or integers
beyond 64 bits, a msgpack list (`["any", list]`): each is read back exactly as it was logged.

This half writes, and imports nothing heavy; `value_reader` reads.
"""

from __future__ import annotations

import sys
import threading
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from operator import sub
from typing import Any, Final, NamedTuple

import msgpack
import zstandard

from runlore.domain.events import ValuesLogged
from runlore.storage.lanes import LaneNumbers, narrow_differences

Scalar = float | int | bool | str | None
Column = list[Any]

BIG_INT: Final = 1
"""Our msgpack extension type: an integer as hexadecimal ASCII (Python limits decimal)."""

_NARROW: Final = (("b", 2**7), ("h", 2**15), ("i", 2**31), ("q", 2**63))
_OF_NBYTES: Final = {1: "b", 2: "h", 4: "i"}
_INT64: Final = range(-(2**63), 2**63)


_local = threading.local()


class Series(NamedTuple):
    """A metric's name, columns and kind.

    Kinds: `scalar`, `row`, and those whose values are addresses of artifacts (`image`,
    `confusion_matrix`, `accuracy_table`, `residuals`, `predictions`).
    """

    name: str
    columns: tuple[str, ...] = ()
    kind: str = "scalar"
    description: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One series' values of a batch, in the order in which they were logged.

    `index` is each value's place among all values of the batch: it increases, and may have gaps.
    `times` are µs since 1970 UTC. `columns` holds one column for each of the series' columns, or a
    single one for a scalar: a list, or an array of 8-byte floats or integers.
    """

    series: Series
    index: Sequence[int]
    steps: Sequence[int]
    times: Sequence[int]
    columns: Sequence[Sequence[Any]]


def encode_batch(writer_id: str, first_seq: int, parts: Sequence[Part]) -> ValuesLogged:
    """The event for these values of one run. Raises TypeError for values that cannot be stored."""
    encoded: dict[int, Column] = {}

    def once(numbers: Sequence[int]) -> Column:
        # Series that are logged together share their steps and times.
        column = encoded.get(id(numbers))
        if column is None:
            column = encoded[id(numbers)] = _whole_numbers(numbers)
        return column

    blocks = [
        {
            "i": _whole_numbers(part.index),
            "s": once(part.steps),
            "t": once(part.times),
            "v": [_values(column) for column in part.columns],
        }
        for part in parts
    ]
    packed = msgpack.packb(blocks, default=pack_other)
    return ValuesLogged(
        writer_id=writer_id,
        first_seq=first_seq,
        count=sum(len(part.index) for part in parts),
        series=tuple(_describe(part.series, len(part.index)) for part in parts),
        payload=_compress(packed),
    )


def _compress(data: bytes) -> bytes:
    # One for each thread: making one takes more time and memory than compressing a small batch.
    compressor: zstandard.ZstdCompressor | None = getattr(_local, "compressor", None)
    if compressor is None:
        # The checksum of 4 bytes tells damage that would leave other numbers.
        compressor = _local.compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
    return compressor.compress(data)


def _describe(series: Series, n: int) -> dict[str, Any]:
    """Only differences from a plain scalar: descriptions take half of a slow run's batches."""
    described: dict[str, Any] = {"name": series.name, "n": n}
    if series.columns:
        described["columns"] = list(series.columns)
    if series.kind != "scalar":
        described["kind"] = series.kind
    if series.description:
        described["description"] = series.description
    return described


def series_of(described: dict[str, Any]) -> Series:
    """The series that a batch describes in the open, without unpacking its payload."""
    return Series(
        described["name"],
        tuple(described.get("columns", ())),
        described.get("kind", "scalar"),
        described.get("description", ""),
    )


def kind_of(column: Sequence[Any]) -> str:
    """The stored form of a column: f8, i8 or any."""
    if isinstance(column, array):
        return {"d": "f8", "q": "i8"}[column.typecode]
    types = set(map(type, column))
    if types == {float}:
        return "f8"
    if types == {int} and min(column) in _INT64 and max(column) in _INT64:
        return "i8"
    return "any"


def _values(column: Sequence[Any]) -> Column:
    kind = kind_of(column)
    if kind == "f8":
        return [kind, _little_endian(array("d", column))]
    return [kind, _whole_numbers(column) if kind == "i8" else list(column)]


def _whole_numbers(numbers: Sequence[int]) -> Column:
    first = numbers[0]
    if isinstance(numbers, range):
        return [first, numbers.step]
    if len(numbers) == 1:
        return [first, 0]
    if isinstance(numbers, array | LaneNumbers):
        narrow = narrow_differences(numbers)
        if narrow is not None:
            nbytes, content = narrow
            if nbytes == 0:
                return [first, numbers[1] - first]
            return [first, _OF_NBYTES[nbytes], content]
    differences = list(map(sub, islice(numbers, 1, None), numbers))
    least, most = min(differences), max(differences)
    if least == most and least in _INT64:
        return [first, least]
    widest = max(most, -least - 1)
    for typecode, limit in _NARROW:
        if widest < limit:
            return [first, typecode, _little_endian(array(typecode, differences))]
    return [first, "any", differences]  # Differences of 64-bit numbers may need 65 bits.


def _little_endian(numbers: array[Any]) -> bytes:
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def pack_other(value: object) -> msgpack.ExtType:
    """msgpack's `default`: integers of any size. Raises TypeError for other types."""
    if isinstance(value, int):
        return msgpack.ExtType(BIG_INT, format(value, "x").encode())
    raise TypeError(f"cannot log a {type(value).__name__}")


def unpack_other(code: int, data: bytes) -> int:
    """msgpack's `ext_hook`: the reverse. Raises ValueError for extension types of others."""
    if code != BIG_INT:
        raise ValueError(f"unknown extension type {code}")
    return int(data, 16)
