"""The format of logged values in a spool, between the call that logs them and the log.

A segment is a header of two slots and then slots of 32 bytes, in the byte order
of the machine, as a spool never leaves it:

    step i64 | time i64 (µs since 1970 UTC) | value f64 or i64 | series u32 | mark u32

The mark is written last and names the lap, a number that increases with each use of a segment: a
slot with another mark is torn or from an earlier lap. A record of several slots begins in one with
the mark BEGIN and ends in one with the mark END; the slots between have no mark. The place of a
mark never holds anything else, so a reader that lost a record finds the next one.

A series has a form, which says what its slots hold:

    f, i   one value, a float or a whole number of 64 bits
    w      a float for each of several columns, or each of several series: the first in the
           BEGIN slot, three in each later one
    F, I   many floats, whole numbers, of one series at consecutive steps; the BEGIN slot holds
           `count u32 | CRC-32 of the values u32` in place of a value
    G, J   the same, and then as many steps
    b      anything as msgpack: `length u32 | CRC-32 u32` in place of a value, then 28 bytes in
           each later slot

Series number 0 is a record of form b that defines a series before its first use in a segment:
[number, run id, form, [[name, columns, kind, description], ...]]. FILLER marks an unused slot.

A slot, and a record of form w of up to 128 slots, is never half on disk with both of its marks:
they lie in one page or in two adjacent ones. Longer records have a CRC, because a power failure may
lose a page in the middle.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Sequence
from functools import cache
from struct import Struct
from typing import Any, Final, NamedTuple

import msgpack

from runlore.storage.value_codec import Series, pack_other

SLOT: Final = 32
SEGMENT_NBYTES: Final = 2 << 20  # With 4 MiB a process takes 7 MB more and logs no faster.
HEADER: Final = Struct("=8sQ48x")  # magic, lap
MAGIC: Final = b"rlspool\1"

FLOAT: Final = Struct("=qqdII")
INT: Final = Struct("=qqqII")
SIZED: Final = Struct("=qqIIII")
MARK: Final = Struct("=I")

END: Final = 1 << 31
BEGIN: Final = 1 << 30
LAP_MAX: Final = BEGIN - 1

DEFINITION: Final = 0
FILLER: Final = 2**32 - 1

WIDE_MAX: Final = 3 * 127 + 1
"""The floats of a record of form w: more could take more slots than two pages hold."""

PIECE: Final = 28
"""The bytes of a packed value in a slot: all except the mark."""

_NO_MARK: Final = bytes(4)


class Channel(NamedTuple):
    """The meaning of a series number: the run, the form and the series of its slots."""

    run_id: str
    form: str
    series: tuple[Series, ...]


class SpoolRecord(NamedTuple):
    """A record's slots, without the fields that are filled in on write.

    `nbytes` is a multiple of a slot; `fields` are the BEGIN slot's third and fourth field, and
    `rest` is the slots after it, with room for the last mark at the end.
    """

    fields: tuple[int, int]
    rest: bytes

    @property
    def nbytes(self) -> int:
        return SLOT + len(self.rest)


def columns_of(channel: Channel) -> int:
    """The number of values in a record of form w."""
    return max(len(channel.series), len(channel.series[0].columns))


@cache
def wide(columns: int) -> Struct:
    """The record of this many floats, at least two:
    step, time, the first, series, mark, the others, mark."""
    full, last = divmod(columns - 2, 3)
    last += 1
    return Struct("=qqdII" + "ddd8x" * full + "d" * last + f"{8 * (3 - last)}x4xI")


def wide_slots(columns: int) -> int:
    """The number of slots of a record of this many floats."""
    return 1 + (columns + 1) // 3


def packed(value: Any) -> SpoolRecord:
    """A record of form b of a value, or of a row as a tuple. Raises TypeError for other types."""
    data: bytes = msgpack.packb(value, default=pack_other)
    padded = data + bytes(-len(data) % PIECE)
    rest = b"".join(
        padded[start : start + PIECE] + _NO_MARK for start in range(0, len(padded), PIECE)
    )
    return SpoolRecord((len(data), zlib.crc32(data)), rest)


def many(values: array[Any], steps: array[int] | None) -> SpoolRecord:
    """A record of form F, I, G or J of values of one type, and perhaps their steps."""
    data = values.tobytes() + (b"" if steps is None else steps.tobytes())
    padded = memoryview(data + bytes(-len(data) % 24)).cast("Q")
    rest = bytearray(len(padded) // 3 * SLOT)
    slots = memoryview(rest).cast("Q")
    for column in range(3):
        slots[column::4] = padded[column::3]
    return SpoolRecord((len(values), zlib.crc32(data)), bytes(rest))


def definition(number: int, channel: Channel) -> SpoolRecord:
    """The record that defines a series number."""
    return packed([number, *channel])


def defined(data: bytes) -> tuple[int, Channel]:
    """The number and channel in a definition. Raises ValueError or TypeError if it is damaged."""
    number, run_id, form, series = msgpack.unpackb(data)
    return number, Channel(
        run_id,
        form,
        tuple(Series(name, tuple(columns), kind, text) for name, columns, kind, text in series),
    )


def form_of(value: Any) -> str:
    """The form that holds a scalar exactly."""
    kind = type(value)
    if kind is float:
        return "f"
    return "i" if kind is int and -(2**63) <= value < 2**63 else "b"


def are_floats(values: Sequence[Any]) -> bool:
    """Whether a record of form w holds these values exactly."""
    return set(map(type, values)) == {float}
