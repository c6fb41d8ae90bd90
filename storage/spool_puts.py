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
    MARK,
    SIZED,
    SLOT,
    SpoolRecord,
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
    pack, slots, offsets, mark = FLOAT.pack_into, segment.slots, segment.offsets, segment.lap | END

    def put(value: float) -> None:
        try:
            with lock:
                step = next(steps)
                pack(slots, next(offsets), step, clock_ns() // 1_000, value, number, mark)
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
    pack, slots, offsets, mark = FLOAT.pack_into, segment.slots, segment.offsets, segment.lap | END

    def put(value: float, step: int) -> None:
        try:
            with lock:
                pack(slots, next(offsets), step, clock_ns() // 1_000, value, number, mark)
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
    begin, end = segment.lap | BEGIN, segment.lap | END
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
                first, *others = values
                pack(slots, offset, step, clock_ns() // 1_000, first, number, begin, *others, end)
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


def pack_record(
    segment: Segment, offset: int, step: int, now: int, number: int, record: SpoolRecord
) -> None:
    """Store a record of several slots; the mark of the last slot is written last."""
    (size, check), rest = record
    behind, lap = offset + SLOT, segment.lap
    stop = behind + len(rest)
    SIZED.pack_into(segment.slots, offset, step, now, size, check, number, lap | BEGIN)
    segment.slots[behind:stop] = rest
    MARK.pack_into(segment.slots, stop - MARK.size, lap | END)
