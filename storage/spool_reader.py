"""From slots of a spool back to values: for the drain, recovery, and reads of live runs.

Pure: bytes in, parts of batches out. Strided views cut columns out of the slots, because a Python
loop over values would cost more than logging them.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, Final

from runlore.storage.lanes import in_thousands
from runlore.storage.spool_content import defined, intent_of, value_of
from runlore.storage.spool_format import (
    BEGIN,
    DEFINITION,
    END,
    FILLER,
    INTENT,
    Channel,
    EndIntent,
    columns_of,
    wide_slots,
)
from runlore.storage.spool_layout import LAYOUT_2, Layout
from runlore.storage.value_codec import Part

_PIECE: Final = 8192  # Slots read at once: 1 ms, for which the training loop may have to wait.
_TYPECODES: Final = {"F": "d", "G": "d", "I": "q", "J": "q", "f": "d", "i": "q"}


class SlotReader:
    """Reads the segments of one writer, each from its first slot on, in the order of their laps.

    It remembers the definitions of series from earlier segments. With `verifies`, for slots that
    were on a disk, it compares what they hold twice, which takes as long as reading. `damaged` is
    the number of records that could not be read, `intents` are those found so far.
    """

    def __init__(self, layout: Layout = LAYOUT_2, *, verifies: bool = False) -> None:
        self.layout = layout
        self.verifies = verifies and layout.again > 0
        self.damaged = 0
        self.intents: list[EndIntent] = []
        self.channels: dict[int, Channel] = {}

    def read(
        self, slots: bytes | memoryview, lap: int, *, first: int, start: int
    ) -> Iterator[dict[str, list[Part]]]:
        """The values in the slots, piece by piece, as parts by run.

        `first` is the number of the first slot in its segment. Slots before slot `start` of the
        segment are read for their definitions and intents only.
        """
        view, slot = memoryview(slots), self.layout.slot
        total = len(slots) // slot
        if total and self._is_filler(view[(total - 1) * slot :], lap):
            total -= 1
        at, size = 0, 0
        while at < total:
            size = size or self._definition_slots(view[at * slot :], lap) or _PIECE
            stop = min(at + size, total)
            piece = _Piece(view[at * slot : stop * slot], lap, self, stop == total)
            used = piece.walk(start - first - at)
            if used == 0:  # A record is longer than the piece.
                size *= 2
                continue
            parts = piece.parts(first + at)
            if parts:
                yield parts
            at, size = at + used, 0

    def _is_filler(self, slots: memoryview, lap: int) -> bool:
        words = slots.cast("I")
        return words[self.layout.mark] == lap | END and words[self.layout.number] == FILLER

    def _definition_slots(self, slots: memoryview, lap: int) -> int:
        """The slots of the definition that is first; 0 if something else is.

        Read by itself, it leaves a piece after it in which all slots may be alike.
        """
        layout = self.layout
        words = slots[: layout.slot].cast("I")
        if words[layout.mark] != lap | BEGIN or words[layout.number] != DEFINITION:
            return 0
        return 1 + -(-words[4] // layout.piece)


class _Piece:
    """Adjacent slots as columns."""

    def __init__(self, slots: memoryview, lap: int, reader: SlotReader, is_last: bool) -> None:
        layout = self._layout = reader.layout
        self._reader = reader
        self._slots = slots
        self._whole = slots.cast("q")
        self._floats = slots.cast("d")
        self._words = slots.cast("I")
        self._each = 2 * layout.words  # Words of 32 bits.
        self._lap, self._begin, self._end = lap, lap | BEGIN, lap | END
        self._channels = reader.channels
        self._is_last = is_last
        self.places: dict[int, Sequence[int]] = {}

    def walk(self, start: int) -> int:
        """Find where the records of each series begin; returns the number of slots consumed.

        Fewer than all if the last record continues after this piece.
        """
        layout, end = self._layout, self._end
        numbers_view = self._words[layout.number :: self._each]
        marks_view = self._words[layout.mark :: self._each]
        total = len(marks_view)
        if start <= 0 and marks_view[0] == end and self._is_uniform():
            alone = numbers_view[0]
            if alone in self._channels and self._channels[alone].form in "fi":
                self.places[alone] = range(total)
                return total
        numbers, marks = numbers_view.tolist(), marks_view.tolist()
        if self._reader.verifies:
            self._outvote(numbers, marks)
        singles: dict[int, list[int]] = {}  # Where records of one slot are, and
        longs: dict[int, list[int]] = {}  # those of several, by series.
        lengths: dict[int, int] = {}  # Of series whose records all have the same length.
        at = 0
        while at < total:
            mark, number = marks[at], numbers[at]
            if mark == end:
                if at >= start:
                    found = singles.get(number)
                    if found is not None:
                        found.append(at)
                    elif number != FILLER and self._is_single(number):
                        singles[number] = [at]
                at += 1
            elif mark == self._begin:
                if self._reader.verifies and not self._has_length(at, number):
                    self._reader.damaged += at >= start
                    at += 1
                    continue
                after = at + (lengths.get(number) or self._slots_of(at, number, lengths))
                if after > total and not self._is_last:
                    break
                if after > total or marks[after - 1] != end:
                    at += 1  # Torn: its writer was stopped in the middle.
                    continue
                if number == DEFINITION:
                    self._define(at)
                elif number == INTENT:
                    self._intend(at)
                elif at >= start and self._is_long(number):
                    longs.setdefault(number, []).append(at)
                at = after
            else:
                at += 1
        self.places = {number: _as_range(found) for number, found in (singles | longs).items()}
        return at

    def _is_uniform(self) -> bool:
        """Whether all slots are single values of one series."""
        words = self._layout.words
        ends = self._slots.cast("Q")[self._layout.number // 2 :: words].tobytes()
        if ends != ends[:8] * (len(ends) // 8):
            return False
        if not self._reader.verifies:
            return True
        again = (self._layout.number + self._layout.again) // 2
        return self._slots.cast("Q")[again::words].tobytes() == ends

    def _is_single(self, number: int) -> bool:
        """Whether records of one slot belong to this series."""
        channel = self._channels.get(number)
        if channel is not None and channel.form in "fi":
            return True
        self._count_damaged()
        return False

    def _is_long(self, number: int) -> bool:
        """Whether records of several slots belong to this series."""
        channel = self._channels.get(number)
        if channel is not None and channel.form not in "fi":
            return True
        self._count_damaged()
        return False

    def _count_damaged(self) -> None:
        if self._reader.verifies:
            self._reader.damaged += 1

    def _outvote(self, numbers: list[int], marks: list[int]) -> None:
        """Where the two copies of a slot's end differ, take the one that makes sense.

        If both do, or the other one is that of an earlier lap, nobody knows which is damaged.
        """
        layout, each = self._layout, self._each
        words = self._slots.cast("Q")
        again = words[(layout.number + layout.again) // 2 :: layout.words]
        if words[layout.number // 2 :: layout.words].tobytes() == again.tobytes():
            return
        numbers_again = self._words[layout.number + layout.again :: each].tolist()
        marks_again = self._words[layout.mark + layout.again :: each].tolist()
        valid = (self._begin, self._end)
        for place, mark in enumerate(marks):
            other, number = marks_again[place], numbers_again[place]
            if mark == other and numbers[place] == number:
                continue
            if mark in valid and not self._is_of_some_lap(other):
                continue
            if other in valid and not self._is_of_some_lap(mark):
                numbers[place], marks[place] = number, other
                continue
            if mark in valid or other in valid:
                marks[place] = 0
                self._reader.damaged += 1

    def _is_of_some_lap(self, mark: int) -> bool:
        """Whether a writer may have written this mark, in this lap or an earlier one."""
        return 0 < (mark & ~(BEGIN | END)) <= self._lap and (mark & BEGIN == 0) != (mark & END == 0)

    def parts(self, first: int) -> dict[str, list[Part]]:
        """The values that `walk` found; `first` is the piece's place in its segment."""
        parts: dict[str, list[Part]] = {}
        for number, places in self.places.items():
            channel = self._channels[number]
            if self._reader.verifies and channel.form not in "FGIJb":
                places = self._undamaged(channel, places)
            for part in self._read(channel, places, first) if places else ():
                parts.setdefault(channel.run_id, []).append(part)
        return parts

    def _undamaged(self, channel: Channel, places: Sequence[int]) -> Sequence[int]:
        """The places whose records of form f, i or w hold the same twice."""
        layout = self._layout
        pairs = [(field, field + 3) for field in range(3)]
        if channel.form == "w":
            n = columns_of(channel)
            pairs = [(0, 2), (1, 3)]
            pairs += [(layout.float_place(k), layout.float_place(n + k)) for k in range(n)]
        columns = [[self._column(self._whole, places, field) for field in pair] for pair in pairs]
        if all(one == again for one, again in columns):
            return places
        kept = [
            place
            for n, place in enumerate(places)
            if all(one[n] == again[n] for one, again in columns)
        ]
        self._reader.damaged += len(places) - len(kept)
        return kept and _as_range(kept)

    def _has_length(self, place: int, number: int) -> bool:
        """Whether the length of a record that begins here is known for certain."""
        channel = self._channels.get(number)
        if channel is not None and channel.form == "w":
            return True
        return (channel is not None or number in (DEFINITION, INTENT)) and self._is_whole(place)

    def _is_whole(self, place: int) -> bool:
        """Whether the BEGIN slot of a sized record holds the same twice."""
        at = self._layout.words * place
        return self._whole[at : at + 3] == self._whole[at + 3 : at + 6]

    def _read(self, channel: Channel, places: Sequence[int], first: int) -> Iterator[Part]:
        form, series = channel.form, channel.series
        if form in "FGIJ":
            for place in places:
                yield from self._read_many(channel, place, first)
            return
        if form == "b":
            yield from self._read_packed(channel, places, first)
            return
        index = self._scaled(places, first)
        steps, times = self._column(self._whole, places, 0), self._times(places)
        if form in "fi":
            view: memoryview[Any] = self._whole if form == "i" else self._floats
            values = self._column(view, places, 2)
            yield Part(series[0], index, steps, times, (values,))
            return
        columns = [
            self._column(self._floats, places, self._layout.float_place(n))
            for n in range(columns_of(channel))
        ]
        if len(series) == 1:
            yield Part(series[0], index, steps, times, columns)
            return
        for n, (metric, column) in enumerate(zip(series, columns, strict=True)):
            yield Part(metric, _shifted(index, n), steps, times, (column,))

    def _times(self, places: Sequence[int]) -> Sequence[int]:
        times = self._column(self._whole, places, 1)
        return times if self._layout.time_divisor == 1 else in_thousands(times)

    def _read_packed(self, channel: Channel, places: Sequence[int], first: int) -> Iterator[Part]:
        [series] = channel.series
        found = []
        for place in places:
            data = self._bytes_of(place)
            try:
                if data is not None:
                    found.append((place, value_of(data, series)))
                    continue
            except ValueError:  # Its CRC is right: somebody wrote it like this.
                pass
            self._reader.damaged += 1
        if not found:
            return
        kept, values = map(list, zip(*found, strict=True))
        columns: Sequence[Any] = list(zip(*values, strict=True)) if series.columns else [values]
        steps, times = self._column(self._whole, kept, 0), self._times(kept)
        yield Part(series, self._scaled(kept, first), steps, times, columns)

    def _read_many(self, channel: Channel, place: int, first: int) -> Iterator[Part]:
        layout = self._layout
        count = self._size(place)
        held = 2 * count if channel.form in "GJ" else count
        start, stop = layout.words * (place + 1), layout.words * (place + self._slots_of_many(held))
        numbers = array("Q", bytes(8 * (stop - start) // layout.words * layout.numbers))
        slots, columns = self._slots.cast("Q"), memoryview(numbers)
        for column in range(layout.numbers):
            columns[column :: layout.numbers] = slots[start + column : stop : layout.words]
        data = columns.cast("B")[: 8 * held].tobytes()
        step = self._whole[layout.words * place]
        is_whole = zlib.crc32(data) == self._check(place) and self._holds_twice(place)
        if not is_whole or not 0 < count < 2**63 - step:
            self._reader.damaged += 1
            return
        values: array[Any] = array(_TYPECODES[channel.form])
        values.frombytes(data[: 8 * count])
        [time] = self._times([place])
        steps: Sequence[int] = range(step, step + count)
        if held > count:
            steps = memoryview(data[8 * count :]).cast("q").tolist()
        begin = layout.span * (first + place)
        index = range(begin, begin + count)
        yield Part(channel.series[0], index, steps, [time] * count, (values,))

    def _define(self, place: int) -> None:
        data = self._bytes_of(place)
        try:
            if data is not None:
                number, channel = defined(data)
                # A second meaning would be one for the records before it as well.
                if self._channels.setdefault(number, channel) == channel:
                    return
        except ValueError:
            pass
        self._reader.damaged += 1

    def _intend(self, place: int) -> None:
        data = self._bytes_of(place)
        try:
            if data is not None:
                intent = intent_of(data)
                if intent not in self._reader.intents:  # It is repeated in later segments.
                    self._reader.intents.append(intent)
                return
        except ValueError:
            pass
        self._reader.damaged += 1

    def _bytes_of(self, place: int) -> bytes | None:
        """The content of a record of form b; None if it is damaged."""
        slot, piece = self._layout.slot, self._layout.piece
        size, check = self._words[self._each * place + 4 : self._each * place + 6]
        start = slot * (place + 1)
        if size <= piece:
            data = bytes(self._slots[start : start + size])
        else:
            starts = range(start, slot * (place + self._slots_of_packed(size)), slot)
            data = b"".join(self._slots[start : start + piece] for start in starts)[:size]
        return data if zlib.crc32(data) == check and self._holds_twice(place) else None

    def _holds_twice(self, place: int) -> bool:
        return not self._reader.verifies or self._is_whole(place)

    def _size(self, place: int) -> int:
        return self._words[self._each * place + 4]

    def _check(self, place: int) -> int:
        return self._words[self._each * place + 5]

    def _slots_of(self, place: int, number: int, lengths: dict[int, int]) -> int:
        channel = self._channels.get(number)
        size = self._size(place)
        if number in (DEFINITION, INTENT) or (channel and channel.form == "b"):
            return self._slots_of_packed(size)
        if channel is None or channel.form in "fi":
            return 1
        if channel.form == "w":
            length = lengths[number] = wide_slots(columns_of(channel))
            return length
        return self._slots_of_many(2 * size if channel.form in "GJ" else size)

    def _slots_of_packed(self, size: int) -> int:
        return 1 + -(-size // self._layout.piece)

    def _slots_of_many(self, numbers: int) -> int:
        return 1 + -(-numbers // self._layout.numbers)

    def _column(self, view: memoryview[Any], places: Sequence[int], field: int) -> array[Any]:
        """One field of the slots at these places, or of the slots after them, as a column."""
        words = self._layout.words
        column: array[Any] = array("d" if view.format == "d" else "q")
        if isinstance(places, range):
            start, stop = words * places.start + field, words * places[-1] + field + 1
            column.frombytes(view[start : stop : words * places.step].tobytes())
        else:
            column.extend([view[words * place + field] for place in places])
        return column

    def _scaled(self, places: Sequence[int], first: int) -> Sequence[int]:
        """The indexes of records at these places among all values of a lap."""
        span = self._layout.span
        if isinstance(places, range):
            return range(
                span * (first + places.start), span * (first + places.stop), span * places.step
            )
        return [span * (first + place) for place in places]


def _as_range(places: Sequence[int]) -> Sequence[int]:
    """The same places as a range, if they are regular."""
    if isinstance(places, range) or len(places) == 1:
        return range(places[0], places[-1] + 1, getattr(places, "step", 1))
    step = places[1] - places[0]
    regular = range(places[0], places[-1] + 1, step)
    return regular if len(regular) == len(places) and list(regular) == places else places


def _shifted(index: Sequence[int], by: int) -> Sequence[int]:
    if isinstance(index, range):
        return range(index.start + by, index.stop + by, index.step)
    return [place + by for place in index]
