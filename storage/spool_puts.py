"""Functions that store values in a segment; on the hot path, closures with everything bound.

`float_put` and `float_put_at` repeat each other on purpose: a shared body would cost a call for
each value.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from runlore.storage.segment import Segment
from runlore.storage.spool_format import (
    BEGIN,
    END,
    FLOAT,
    MARKS_NBYTES,
    SIZED,
    SLOT,
    SpoolRecord,
    marks,
    wide,
    wide_slots,
)

FloatPut = Callable[[float], None]
FloatPutAt = Callable[[float, int], None]
WidePut = Callable[[Sequence[float], "int | None"], "list[int] | None"]

# Raised by `pack_into` past the end of a segment, and in one that was removed.
_NO_ROOM: Final = (struct.error, ValueError)


def float_put(
    lock: threading.RLock,
    segment: Segment,
    number: int,
    steps: Iterator[int],
    again: Callable[[float, int], None],
    clock_ns: Callable[[], int],
) -> FloatPut:
    """A function that logs a float at the next step; `again` takes values that find no room."""
    pack, slots, offsets = FLOAT.pack_into, segment.slots, segment.offsets
    end = marks(number, segment.lap | END)

    def put(value: float) -> None:
        try:
            with lock:
                step = next(steps)
                now = clock_ns()
                pack(slots, next(offsets), step, now, value, step, now, value, end)
        except _NO_ROOM:
            again(value, step)

    return put


def float_put_at(
    lock: threading.RLock,
    segment: Segment,
    number: int,
    again: Callable[[float, int], None],
    clock_ns: Callable[[], int],
) -> FloatPutAt:
    """A function that logs a float at a given step; `again` takes values that find no room."""
    pack, slots, offsets = FLOAT.pack_into, segment.slots, segment.offsets
    end = marks(number, segment.lap | END)

    def put(value: float, step: int) -> None:
        try:
            with lock:
                now = clock_ns()
                pack(slots, next(offsets), step, now, value, step, now, value, end)
        except _NO_ROOM:
            again(value, step)

    return put


def wide_put(
    lock: threading.RLock,
    segment: Segment,
    number: int,
    width: int,
    steps: Sequence[Iterator[int]],
    again: WidePut,
    clock_ns: Callable[[], int],
) -> WidePut:
    """A function that logs several floats; if the next steps differ, it returns them instead."""
    pack, after_first = wide(width).pack_into, wide_slots(width) - 1
    slots, offsets = segment.slots, segment.offsets
    begin, end = marks(number, segment.lap | BEGIN), marks(number, segment.lap | END)
    series = len(steps)
    back = after_first * SLOT

    def put(values: Sequence[float], step: int | None) -> list[int] | None:
        try:
            with lock:
                if step is None:
                    taken = list(map(next, steps))
                    step = taken[0]
                    if taken.count(step) != series:
                        return taken
                # All slots in one step, so that they are next to each other.
                offset = next(islice(offsets, after_first, None)) - back
                now = clock_ns()
                one, two, *others = values
                pack(slots, offset, step, now, step, now, one, two, begin, *others, *values, end)
                return None
        except _NO_ROOM:
            return again(values, step)

    return put


def reserve(segment: Segment, slots: int) -> int | None:
    """The offset of this many adjacent slots; None if too few are left, and then none are."""
    last: int = next(islice(segment.offsets, slots - 1, None))
    if last + SLOT > len(segment.slots):
        return None
    return last - (slots - 1) * SLOT


def pack_one(
    segment: Segment,
    offset: int,
    step: int,
    now_ns: int,
    number: int,
    value: float,
    shape: struct.Struct,
) -> None:
    """Store a value in one slot, packed by `shape`."""
    end = marks(number, segment.lap | END)
    shape.pack_into(segment.slots, offset, step, now_ns, value, step, now_ns, value, end)


def pack_record(
    segment: Segment, offset: int, step: int, now_ns: int, number: int, record: SpoolRecord
) -> None:
    """Store a record of several slots; the marks of the last slot are written last."""
    (size, check), rest = record
    slots, lap, behind = segment.slots, segment.lap, offset + SLOT
    stop = behind + len(rest)
    begin = marks(number, lap | BEGIN)
    SIZED.pack_into(slots, offset, step, now_ns, size, check, step, now_ns, size, check, begin)
    slots[behind:stop] = rest
    slots[stop - MARKS_NBYTES : stop] = marks(number, lap | END)
