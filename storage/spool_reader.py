"""From slots of a spool back to values: for the drain, recovery, and reads of live runs.

Pure: bytes in, parts of batches out. Strided views cut columns out of the slots, because a Python
loop over values would cost more than logging them.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgpack

from runlore.storage.spool_format import (
    BEGIN,
    DEFINITION,
    END,
    FILLER,
    PIECE,
    SLOT,
    Channel,
    columns_of,
    defined,
    wide_slots,
)
from runlore.storage.value_codec import Part, unpack_other

_PIECE: Final = 8_192  # Slots read at once: 1 ms, for which the training loop may have to wait.
_INDEX_SPAN: Final = 4  # A record has at most four values for each of its slots.
_TYPECODES: Final = {"F": "d", "G": "d", "I": "q", "J": "q", "f": "d", "i": "q"}


class SlotReader:
    """Reads the segments of one writer, each from its first slot on, in the order of their laps.

    It remembers the definitions of series from earlier segments.
    """

    def __init__(self) -> None:
        self._channels: dict[int, Channel] = {}

    def read(
        self, slots: bytes | memoryview, lap: int, *, first: int, start: int
    ) -> Iterator[dict[str, list[Part]]]:
        """The values in the slots, piece by piece, as parts by run.

        `first` is the number of the first slot in its segment. Slots before slot `start` of the
        segment are read for their definitions only.
        """
        view = memoryview(slots)
        total = len(slots) // SLOT
        at, size = 0, _PIECE
        while at < total:
            stop = min(at + size, total)
            piece = _Piece(view[at * SLOT : stop * SLOT], lap, self._channels, stop == total)
            used = piece.walk(start - first - at)
            if used == 0:  # A record is longer than the piece.
                size *= 2
                continue
            if piece.places:
                yield piece.parts(first + at)
            at, size = at + used, _PIECE


class _Piece:
    """Adjacent slots as columns."""

    def __init__(
        self, slots: memoryview, lap: int, channels: dict[int, Channel], is_last: bool
    ) -> None:
        self._slots = slots
        self._whole = slots.cast("q")
        self._floats = slots.cast("d")
        words = slots.cast("I")
        self._sizes = words[4::8]
        self._checks = words[5::8]
        self._numbers, self._marks = words[6::8], words[7::8]
        self._begin, self._end = lap | BEGIN, lap | END
        self._channels = channels
        self._is_last = is_last
        self.places: dict[int, Sequence[int]] = {}

    def walk(self, start: int) -> int:
        """Find where the records of each series begin; returns the number of slots consumed.

        Fewer than all if the last record continues after this piece.
        """
        total, end = len(self._marks), self._end
        if start <= 0 and self._is_uniform():
            alone = self._numbers[0]
            if alone in self._channels:
                self.places[alone] = range(total)
            return total
        numbers, marks = self._numbers.tolist(), self._marks.tolist()
        places: dict[int, list[int]] = {}
        lengths: dict[int, int] = {}  # Of series whose records all have the same length.
        at = 0
        while at < total:
            mark, number = marks[at], numbers[at]
            if mark == end:
                if at >= start and number != FILLER:
                    places.setdefault(number, []).append(at)
                at += 1
            elif mark == self._begin:
                after = at + (lengths.get(number) or self._slots_of(at, number, lengths))
                if after > total and not self._is_last:
                    break
                if after > total or marks[after - 1] != end:
                    at += 1  # Torn: its writer was stopped in the middle.
                    continue
                if number == DEFINITION:
                    self._define(at)
                elif at >= start:
                    places.setdefault(number, []).append(at)
                at = after
            else:
                at += 1
        self.places = {n: _as_range(found) for n, found in places.items() if n in self._channels}
        return at

    def _is_uniform(self) -> bool:
        """Whether all slots are single values of one series."""
        if self._marks[0] != self._end:
            return False
        ends = self._slots.cast("Q")[3::4]  # Number and mark of each slot.
        return ends.tobytes() == ends[:1].tobytes() * len(ends)

    def parts(self, first: int) -> dict[str, list[Part]]:
        """The values that `walk` found; `first` is the piece's place in its segment."""
        parts: dict[str, list[Part]] = {}
        for number, places in self.places.items():
            channel = self._channels[number]
            parts.setdefault(channel.run_id, []).extend(self._read(channel, places, first))
        return parts

    def _read(self, channel: Channel, places: Sequence[int], first: int) -> Iterator[Part]:
        form, series = channel.form, channel.series
        if form in "FGIJ":
            for place in places:
                yield from self._read_many(channel, place, first)
            return
        index = _scaled(places, first)
        steps, times = self._column(self._whole, places, 0), self._column(self._whole, places, 1)
        if form in "fi":
            view: memoryview[Any] = self._whole if form == "i" else self._floats
            values = self._column(view, places, 2)
            yield Part(series[0], index, steps, times, (values,))
        elif form == "w":
            columns = [
                self._column(
                    self._floats, places, 2 if n == 0 else 4 + (n - 1) // 3 * 4 + (n - 1) % 3
                )
                for n in range(columns_of(channel))
            ]
            if len(series) == 1:
                yield Part(series[0], index, steps, times, columns)
                return
            for n, (metric, column) in enumerate(zip(series, columns, strict=True)):
                yield Part(metric, _shifted(index, n), steps, times, (column,))
        else:
            yield from self._read_packed(channel, places, index, steps, times)

    def _read_packed(
        self,
        channel: Channel,
        places: Sequence[int],
        index: Sequence[int],
        steps: Sequence[int],
        times: Sequence[int],
    ) -> Iterator[Part]:
        found = [self._unpacked(place) for place in places]
        if None in found:  # Damaged by a power failure; complete ones stay.
            kept = [n for n, value in enumerate(found) if value is not None]
            if not kept:
                return
            index, steps, times = ([column[n] for n in kept] for column in (index, steps, times))
        values = [value[0] for value in found if value is not None]
        [series] = channel.series
        columns: Sequence[Any] = list(zip(*values, strict=True)) if series.columns else [values]
        yield Part(series, index, steps, times, columns)

    def _read_many(self, channel: Channel, place: int, first: int) -> Iterator[Part]:
        count = self._sizes[place]
        held = 2 * count if channel.form in "GJ" else count
        start, stop = 4 * (place + 1), 4 * (place + self._slots_of_many(held))
        numbers = array("Q", bytes(8 * (stop - start) // 4 * 3))
        slots, columns = self._slots.cast("Q"), memoryview(numbers)
        for column in range(3):
            columns[column::3] = slots[start + column : stop : 4]
        data = columns.cast("B")[: 8 * held].tobytes()
        if zlib.crc32(data) != self._checks[place]:
            return
        values: array[Any] = array(_TYPECODES[channel.form])
        values.frombytes(data[: 8 * count])
        step, time = self._whole[4 * place], self._whole[4 * place + 1]
        steps: Sequence[int] = range(step, step + count)
        if held > count:
            steps = memoryview(data[8 * count :]).cast("q").tolist()
        index = range(_INDEX_SPAN * (first + place), _INDEX_SPAN * (first + place) + count)
        yield Part(channel.series[0], index, steps, [time] * count, (values,))

    def _unpacked(self, place: int) -> tuple[Any] | None:
        """A packed value in a tuple; None if its bytes are damaged."""
        data = self._bytes_of(place)
        if data is None:
            return None
        return (msgpack.unpackb(data, ext_hook=unpack_other, use_list=False),)

    def _define(self, place: int) -> None:
        data = self._bytes_of(place)
        if data is not None:
            number, channel = defined(data)
            self._channels[number] = channel

    def _bytes_of(self, place: int) -> bytes | None:
        """The content of a record of form b; None if it is damaged."""
        size = self._sizes[place]
        starts = range(SLOT * (place + 1), SLOT * (place + self._slots_of_packed(size)), SLOT)
        data = b"".join(self._slots[start : start + PIECE] for start in starts)[:size]
        return data if zlib.crc32(data) == self._checks[place] else None

    def _slots_of(self, place: int, number: int, lengths: dict[int, int]) -> int:
        channel = self._channels.get(number)
        size = self._sizes[place]
        if number == DEFINITION or (channel and channel.form == "b"):
            return self._slots_of_packed(size)
        if channel is None:
            return 1
        if channel.form == "w":
            length = lengths[number] = wide_slots(columns_of(channel))
            return length
        return self._slots_of_many(2 * size if channel.form in "GJ" else size)

    @staticmethod
    def _slots_of_packed(size: int) -> int:
        return 1 + -(-size // PIECE)

    @staticmethod
    def _slots_of_many(numbers: int) -> int:
        return 1 + -(-numbers // 3)

    def _column(self, view: memoryview[Any], places: Sequence[int], field: int) -> array[Any]:
        """One field of the slots at these places (from field 4 on, of the slots after them)."""
        column: array[Any] = array("d" if view.format == "d" else "q")
        if isinstance(places, range):
            start, stop = 4 * places.start + field, 4 * (places[-1]) + field + 1
            column.frombytes(view[start : stop : 4 * places.step].tobytes())
        else:
            column.extend([view[4 * place + field] for place in places])
        return column


def _as_range(places: Sequence[int]) -> Sequence[int]:
    """The same places as a range, if they are regular."""
    if isinstance(places, range) or len(places) == 1:
        return range(places[0], places[-1] + 1, getattr(places, "step", 1))
    step = places[1] - places[0]
    regular = range(places[0], places[-1] + 1, step)
    return regular if len(regular) == len(places) and list(regular) == places else places


def _scaled(places: Sequence[int], first: int) -> Sequence[int]:
    """The indexes of records at these places among all values of a lap."""
    if isinstance(places, range):
        return range(
            _INDEX_SPAN * (first + places.start),
            _INDEX_SPAN * (first + places.stop),
            _INDEX_SPAN * places.step,
        )
    return [_INDEX_SPAN * (first + place) for place in places]


def _shifted(index: Sequence[int], by: int) -> Sequence[int]:
    if isinstance(index, range):
        return range(index.start + by, index.stop + by, index.step)
    return [place + by for place in index]
