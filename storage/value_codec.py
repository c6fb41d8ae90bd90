"""Logged values to columnar batches: one `ValuesLogged` event for thousands of values.

A series is a metric's name, its columns (none for a scalar) and its kind. The event describes
each series of the batch in the open (`{"name", "columns", "kind", "n", "description"?}`) and
holds one zstd-compressed payload: a msgpack list of blocks, one per series, in the same order:

    {"i": index in the batch, "s": steps, "t": times (µs since 1970), "v": [one per column]}

Whole numbers are `[start, stride]` where they are regular, as nearly all are, and else the
first one and the narrow differences `[first, typecode, bytes]`. Values are 8-byte floats
(`["f8", bytes]`), whole numbers (`["i8", column]`), or, where a column mixes types or holds
text, bools, None or whole numbers beyond 64 bits, a msgpack list (`["any", list]`): each
comes back exactly as it was logged.

This half writes, and imports nothing heavy; `value_reader` reads.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import msgpack
import zstandard

from runlore.domain.events import ValuesLogged

Scalar = float | int | bool | str | None
Column = list[Any]

BIG_INT: Final = 1
"""Our msgpack extension type: a whole number as hexadecimal ASCII (decimal is capped)."""

_NARROW: Final = (("b", 2**7), ("h", 2**15), ("i", 2**31), ("q", 2**63))
_INT64: Final = range(-(2**63), 2**63)


class Series(NamedTuple):
    """A metric's name, columns and kind.

    Kinds: `scalar`, `row`, and those whose values are addresses of artifacts (`image`,
    `confusion_matrix`, `accuracy_table`, `residuals`, `predictions`).
    """

    name: str
    columns: tuple[str, ...] = ()
    kind: str = "scalar"
    description: str = ""


class Record(NamedTuple):
    """One call's worth of one series: `value` is a tuple, a value per column, for rows."""

    series: Series
    step: int
    time: int
    value: Any


def encode_batch(writer_id: str, first_seq: int, records: Sequence[Record]) -> ValuesLogged:
    """The event for these records of one run, whose order it keeps."""
    by_series: dict[Series, list[tuple[int, Record]]] = {}
    for index, record in enumerate(records):
        by_series.setdefault(record.series, []).append((index, record))
    described = []
    blocks = []
    for series, members in by_series.items():
        described.append(_describe(series, len(members)))
        blocks.append(_block(series, members))
    packed = msgpack.packb(blocks, default=_pack_other)
    return ValuesLogged(
        writer_id=writer_id,
        first_seq=first_seq,
        count=len(records),
        series=tuple(described),
        payload=zstandard.compress(packed, 3),
    )


def _describe(series: Series, n: int) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": series.name,
        "columns": list(series.columns),
        "kind": series.kind,
        "n": n,
    }
    if series.description:
        described["description"] = series.description
    return described


def _block(series: Series, members: Sequence[tuple[int, Record]]) -> dict[str, Any]:
    values = [record.value for _, record in members]
    columns: Iterable[Sequence[Any]] = zip(*values, strict=True) if series.columns else (values,)
    return {
        "i": _whole_numbers([index for index, _ in members]),
        "s": _whole_numbers([record.step for _, record in members]),
        "t": _whole_numbers([record.time for _, record in members]),
        "v": [_values(column) for column in columns],
    }


def _values(values: Sequence[Any]) -> Column:
    types = set(map(type, values))
    if types == {float}:
        return ["f8", _little_endian(array("d", values))]
    if types == {int} and min(values) in _INT64 and max(values) in _INT64:
        return ["i8", _whole_numbers(values)]
    return ["any", list(values)]


def _whole_numbers(numbers: Sequence[int]) -> Column:
    first = numbers[0]
    if len(numbers) == 1:
        return [first, 0]
    stride = numbers[1] - first
    differences = [b - a for a, b in pairwise(numbers)]
    if stride in _INT64 and differences.count(stride) == len(differences):
        return [first, stride]
    widest = max(max(differences), -min(differences) - 1)
    for typecode, limit in _NARROW:
        if widest < limit:
            return [first, typecode, _little_endian(array(typecode, differences))]
    return [first, "any", differences]  # Differences of 64-bit numbers may need 65 bits.


def _little_endian(numbers: array[Any]) -> bytes:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _pack_other(value: object) -> msgpack.ExtType:
    if isinstance(value, int):
        return msgpack.ExtType(BIG_INT, format(value, "x").encode())
    raise TypeError(f"cannot log a {type(value).__name__}")
