"""The spool: segments that hold logged values when `log` returns, and survive a killed process.

The hot path is a closure for each metric, which stores one slot under a lock: see `spool_puts`.
When the objects bound in the closures change (another lap, another process), the caches that hold
the closures are emptied, and the next call takes the slow path, which makes new ones.

The lock is reentrant because a signal handler or a finalizer that logs may run between any two
bytecodes of a call that logs. An `itertools.count` hands out slots in one step, so both calls get
slots of their own; a call that an exception ends in between leaves a hole, which readers skip. All
else takes several steps: a value that interrupts it, and needs such a step itself, is put off.
"""

from __future__ import annotations

import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import count, islice
from typing import Any, Final, NamedTuple

from runlore.storage import interruptions
from runlore.storage.filesystem import copies_on_write
from runlore.storage.held_path import HeldPath
from runlore.storage.segment import SLOTS, Segment, make_file
from runlore.storage.spool_format import (
    BEGIN,
    DEFINITION,
    END,
    FILLER,
    FLOAT,
    HEADER_NBYTES,
    INTENT,
    LAP_MAX,
    SEGMENT_NBYTES,
    SLOT,
    SUFFIX,
    Channel,
    EndIntent,
    SpoolRecord,
    columns_of,
    definition,
    intent_record,
    marks,
    wide,
    wide_slots,
)
from runlore.storage.spool_puts import (
    FloatPut,
    FloatPutAt,
    WidePut,
    float_put,
    float_put_at,
    pack_one,
    pack_record,
    reserve,
    wide_put,
)

FILES_MAX: Final = 2
_INTENTS_NBYTES_MAX: Final = SEGMENT_NBYTES // 4
FILES_OF_AWAY: Final = 256
"""The limit of files, 1 GiB, where the log may be away for long."""

MEMORY_SEGMENTS: Final = 64
"""The default limit of segments in memory, 256 MiB: more could exhaust a training's memory."""


class Region(NamedTuple):
    """Slots of a segment that are not in the log yet: from `start` to before `stop`."""

    segment: Segment
    lap: int
    start: int
    stop: int


class Spool:
    """The segments of one writer, and functions that write to them.

    `wake` is called before each value that takes the slow path, `filled` when a segment is full.
    `make_room` is called, without the lock, when no segment is free; it returns whether one is
    now. `complain` receives each OSError that keeps values from the disk. With `wipes`, drained
    slots are overwritten, so that no value stays in a segment longer than necessary, and files are
    private: in an erasable workspace, the log beside them is sealed. At most
    `max_memory_segments` are kept where no file can be written; further values are dropped, and
    counted by run in `dropped`: `dropping` is called, without the lock, for each. After
    `stay` they are files: nobody drains the spool before this process has ended. After `rest` no
    value stays here: `stored` is called, without the lock, after each. `channels` are those that
    were defined, by the number that their slots have.

    There are at most `max_files`. If that is more than two, the log may be away for long: there
    `make_room` is not asked, and no value is kept in memory once there are so many.
    """

    def __init__(
        self,
        writer_id: str,
        folder: HeldPath | None,
        *,
        wake: Callable[[], None],
        filled: Callable[[], None],
        make_room: Callable[[], bool],
        complain: Callable[[OSError], None],
        stored: Callable[[], None] = lambda: None,
        dropping: Callable[[], None] = lambda: None,
        clock_ns: Callable[[], int] = time.time_ns,
        wipes: bool = False,
        max_files: int = FILES_MAX,
        max_memory_segments: int = MEMORY_SEGMENTS,
    ) -> None:
        self.writer_id = writer_id
        self.lock = interruptions.new_lock(self, asks=False)
        self._changing = _Changing()
        self.dropped: dict[str, int] = {}
        self._folder = folder
        self._wake = wake
        self._filled = filled
        self._make_room = make_room
        self._complain = complain
        self._stored = stored
        self._dropping = dropping
        self._rests = False
        self._clock_ns = clock_ns
        self._wipes = wipes
        self._max_memory_segments = max_memory_segments
        self._caches: list[dict[Any, Any]] = []
        self._numbers: dict[Channel, int] = {}
        self.channels: dict[int, Channel] = {}
        self._defined: set[int] = set()
        self._intents: dict[str, tuple[EndIntent, SpoolRecord]] = {}  # By run id.
        self._lap = 0
        self._files = 0
        self._numbers_of_files = count()
        self._files_max = max_files
        self._waits = max_files <= FILES_MAX
        self._in_memory = 0
        self._overflows = False
        self._full: deque[Segment] = deque()
        self._free: list[Segment] = []
        self._segment = _no_segment()  # The first value makes a real one.

    # --- writing ------------------------------------------------------------------------------

    def float_put(
        self, channel: Channel, steps: Iterator[int], cache: dict[Any, Any], key: object
    ) -> FloatPut:
        """A function that logs a float at the next step; it stays in the cache while valid."""

        def again(value: float, step: int) -> None:
            self.put_one(channel, step, value, FLOAT)

        self._wake()
        if self._is_interrupted:
            return lambda value: again(value, self.next_step(steps))
        with self.lock, self._changing:
            number = self._defined_number(channel)
            if number is None or self._segment.needs_writing or self._rests:
                return lambda value: again(value, self.next_step(steps))
            put = float_put(self.lock, self._segment, number, steps, again, self._clock_ns)
            self._keep(cache, key, put)
            return put

    def float_put_at(self, channel: Channel, cache: dict[Any, Any], key: object) -> FloatPutAt:
        """A function that logs a float at a given step; it stays in the cache while valid."""

        def again(value: float, step: int) -> None:
            self.put_one(channel, step, value, FLOAT)

        self._wake()
        if self._is_interrupted:
            return again
        with self.lock, self._changing:
            number = self._defined_number(channel)
            if number is None or self._segment.needs_writing or self._rests:
                return again
            put = float_put_at(self.lock, self._segment, number, again, self._clock_ns)
            self._keep(cache, key, put)
            return put

    def wide_put(
        self,
        channel: Channel,
        steps: Sequence[Iterator[int]],
        cache: dict[Any, Any],
        key: object,
    ) -> WidePut:
        """A function that logs several floats at once, at a given step or the next of each series.

        If the next steps differ, it logs nothing and returns them. It stays in the cache while it
        is valid.
        """
        width = columns_of(channel)

        def again(values: Sequence[float], step: int | None) -> list[int] | None:
            if step is None:
                with self.lock:
                    taken = list(map(next, steps))
                if taken.count(taken[0]) != len(taken):
                    return taken
                step = taken[0]
            self._put_wide(channel, width, values, step)
            return None

        self._wake()
        if self._is_interrupted:
            return again
        with self.lock, self._changing:
            number = self._defined_number(channel)
            if number is None or self._segment.needs_writing or self._rests:
                return again
            put = wide_put(self.lock, self._segment, number, width, steps, again, self._clock_ns)
            self._keep(cache, key, put)
            return put

    def put_one(
        self,
        channel: Channel,
        step: int,
        value: float,
        shape: struct.Struct,
        *,
        time_ns: int | None = None,
    ) -> None:
        """Log one value in one slot, packed by `shape`.

        `time_ns` (ns since 1970 UTC, 64 bits) is the caller's time, in place of the clock's.
        """

        def pack(segment: Segment, offset: int, number: int) -> None:
            now = self._clock_ns() if time_ns is None else time_ns
            pack_one(segment, offset, step, now, number, value, shape)

        self._put(channel, 1, pack)

    def put_record(
        self, channel: Channel, step: int, record: SpoolRecord, *, time_ns: int | None = None
    ) -> None:
        """Log a record of several slots: text, a row of mixed types, an array.

        `time_ns` as in `put_one`.
        """

        def pack(segment: Segment, offset: int, number: int) -> None:
            now = self._clock_ns() if time_ns is None else time_ns
            pack_record(segment, offset, step, now, number, record)

        self._put(channel, record.nbytes // SLOT, pack)

    def put_intent(self, intent: EndIntent, *, lasting: bool = True) -> None:
        """Keep an intent in the spool, from segment to segment, until `settle` is called.

        It replaces an earlier one of the run. One that is not lasting is only for the process that
        finds the spool after this one was killed, and is not kept for long.
        """
        record = intent_record(intent)

        def pack(segment: Segment, offset: int, number: int) -> None:
            pack_record(segment, offset, 0, 0, number, record)
            segment.definitions.append((offset, record.nbytes))

        self._put(None, record.nbytes // SLOT, pack)
        if lasting:
            with self.lock:
                self._intents[intent.run_id] = intent, record

    def settle(self, intent: EndIntent) -> None:
        """Call after the intent is recorded in the log."""
        with self.lock:
            if self._intents.get(intent.run_id, (None,))[0] == intent:
                del self._intents[intent.run_id]

    @property
    def intents(self) -> tuple[EndIntent, ...]:
        """The intents that are not recorded in the log yet, the oldest first."""
        return tuple(intent for intent, _ in list(self._intents.values()))

    def next_step(self, steps: Iterator[int], n: int = 1) -> int:
        """The first of the next `n` steps, which no other caller gets."""
        with self.lock:
            first = next(steps)
            if n > 1:
                next(islice(steps, n - 2, None))
            return first

    # --- draining -----------------------------------------------------------------------------

    def undrained(self) -> list[Region]:
        """The regions that are not in the log yet, in the order of laps; later values follow them.

        Incomplete slots in them stay incomplete: the call must not interrupt one that logs.
        """
        with self.lock, self._changing:
            segment = self._segment
            stop = segment.end
            if stop is None:
                offset = next(segment.offsets)
                stop = min(offset, len(segment.slots)) // SLOT
                if offset < len(segment.slots):
                    pack_one(segment, offset, 0, 0, FILLER, 0.0, FLOAT)
                    stop += 1
            fulls = [full for full in self._full if full is not segment]
            regions = [Region(full, full.lap, full.done, full.end or 0) for full in fulls]
            regions.append(Region(segment, segment.lap, segment.done, stop))
        return [region for region in regions if region.stop > region.start]

    def drained(self, regions: Sequence[Region]) -> None:
        """Call after these regions are in the log: their segments can be used again. Idempotent."""
        if self._wipes:
            for segment, _, start, stop in regions:
                try:
                    segment.wipe(start, stop)
                except OSError as error:
                    self._complain(error)
        with self.lock, self._changing:
            for segment, lap, _, stop in regions:
                if segment.lap == lap:
                    segment.done = stop
            for segment in [full for full in self._full if full.done == full.end]:
                self._full.remove(segment)
                self._retire(segment)
            self._overflows = False
            segment = self._segment
            if self._folder is not None and segment.is_volatile and segment.end is None:
                self._end_segment()  # There may be room for a file by now.

    def make_spare(self) -> None:
        """Make the second file, which takes some milliseconds, before it is needed."""
        with self.lock, self._changing:
            if self._folder is None or self._files != 1:
                return
            self._files += 1
        segment = self._made_file(self._folder)
        with self.lock, self._changing:
            if segment is None:
                self._files -= 1
            else:
                self._free.append(segment)

    def park(self) -> None:
        """Send the next value down the slow path, which calls `wake`."""
        with self.lock, self._changing:
            self._park()

    def close(self) -> None:
        """Hand out no more slots; undrained ones can still be drained."""
        with self.lock, self._changing:
            self._end_segment()

    def rest(self) -> None:
        """Make no more files, and end the segment; what comes is to be drained at once.

        `remove` the files when what is in them is drained.
        """
        with self.lock, self._changing:
            self._rests = True
            self._folder = None
            self._end_segment()
            while self._free:
                self._free.pop().remove()

    def remove(self) -> None:
        """Remove the files; what is in them must be drained."""
        with self.lock, self._changing:
            while self._free:
                self._free.pop().remove()
            if self._segment.is_kept:
                self._segment.remove()
                self._segment = _no_segment()
            self._files = 0

    def stay(self) -> None:
        """Keep all values in files from now on: the log cannot be reached from this process."""
        self._files_max = FILES_MAX + self._max_memory_segments

    @property
    def is_on_disk(self) -> bool:
        """Whether all of it is in files, where other processes find it."""
        if self._in_memory or not self._files:
            return False
        with self.lock:
            used = (*self._full, self._segment)
            return not (
                any(each.is_lost for each in (*self._free, *used))
                or any(each.is_volatile and each.done != each.end for each in used)
            )

    def leave(self) -> None:
        """Leave the files, with values and intents, to another process that opens the workspace."""
        with self.lock, self._changing:
            for segment in (*self._free, *self._full, self._segment):
                segment.forget()
            self._free.clear()
            self._full.clear()

    def forget(self) -> None:
        """In a forked child: let go of the files, which are the parent's."""
        # A thread of the parent may hold the old one.
        self.lock = interruptions.new_lock(self, asks=False)
        self.park()
        for segment in (*self._free, *self._full, self._segment):
            segment.forget()

    # --- inside -------------------------------------------------------------------------------

    def _end_segment(self) -> None:
        """Hand out no more slots of the segment."""
        segment = self._segment
        size = len(segment.slots) // SLOT
        # In one step, so that no signal handler gets a slot after the end.
        (last,) = deque(islice(segment.offsets, size + 1), maxlen=1)
        segment.end = min(last // SLOT - size, size)
        self._park()

    def _park(self) -> None:
        for cache in self._caches:
            cache.clear()
        self._caches.clear()

    @property
    def _is_interrupted(self) -> bool:
        """Whether this call comes while its own thread changes the spool in several steps."""
        return self._changing.is_going_on and interruptions.is_owned(self.lock)

    def _keep(self, cache: dict[Any, Any], key: object, put: object) -> None:
        if not cache:
            self._caches.append(cache)
        cache[key] = put

    def _put_wide(self, channel: Channel, width: int, values: Sequence[float], step: int) -> None:
        def pack(segment: Segment, offset: int, number: int) -> None:
            now = self._clock_ns()
            one, two, *others = values
            begin, end = marks(number, segment.lap | BEGIN), marks(number, segment.lap | END)
            record = (step, now, step, now, one, two, begin, *others, *values, end)
            wide(width).pack_into(segment.slots, offset, *record)

        self._put(channel, wide_slots(width), pack)

    def _put(self, channel: Channel | None, slots: int, pack: Pack) -> None:
        """Find room for a record, in another segment if needed, and let `pack` store it.

        An intent has no channel. It waits if it interrupts a change of the spool.
        """
        if self._is_interrupted:
            interruptions.put_off(partial(self._put, channel, slots, pack))
            return
        while True:
            self._wake()
            with self.lock, self._changing:
                was_put = self._try_put(channel, slots, pack)
            if was_put:
                if self._rests:
                    self._stored()
                return
            if self._waits and self._make_room():
                continue
            with self.lock, self._changing:
                is_full = self._in_memory >= self._max_memory_segments or self._is_full
                if is_full and channel is not None:
                    self.dropped[channel.run_id] = self.dropped.get(channel.run_id, 0) + 1
                self._overflows = True
            if is_full:
                self._dropping()
                return

    def _try_put(self, channel: Channel | None, slots: int, pack: Pack) -> bool:
        number = self._defined_number(channel, slots)
        if number is None:
            return False
        offset = reserve(self._segment, slots)
        if offset is None:
            if not self._next_lap(slots + self._definition_slots(number, channel)):
                return False
            number = self._defined_number(channel)
            offset = reserve(self._segment, slots)
            assert number is not None and offset is not None, "it was made for this"
        pack(self._segment, offset, number)
        self._write(self._segment, offset, slots)
        return True

    def _definition_slots(self, number: int, channel: Channel | None) -> int:
        return 0 if channel is None else _definition(number, channel).nbytes // SLOT

    def _defined_number(self, channel: Channel | None, slots: int = 1) -> int | None:
        """The channel's number, defined in this lap; None if no segment has room for it."""
        if channel is None:
            return INTENT
        number = self._numbers.setdefault(channel, len(self._numbers) + 1)
        if number not in self._defined:
            self.channels[number] = channel
            record = _definition(number, channel)
            if not self._put_lasting(DEFINITION, record):
                if not self._next_lap(record.nbytes // SLOT + slots):
                    return None
                was_put = self._put_lasting(DEFINITION, record)
                assert was_put, "it was made for this"
            self._defined.add(number)
        return number

    def _put_lasting(self, number: int, record: SpoolRecord) -> bool:
        """Store a record that is not wiped with the values; False if it does not fit."""
        slots = record.nbytes // SLOT
        offset = reserve(self._segment, slots)
        if offset is None:
            return False
        pack_record(self._segment, offset, 0, 0, number, record)
        self._write(self._segment, offset, slots)
        self._segment.definitions.append((offset, record.nbytes))
        return True

    def _next_lap(self, slots: int) -> bool:
        """Continue in another segment with room for this many slots; False if none is free.

        The current one has no slots left: its `offsets` are past its end.
        """
        lasting = self._lasting_intents()
        slots += sum(record.nbytes // SLOT for record in lasting)
        segment = self._free_segment(slots)
        if segment is None:
            return False
        ended = self._segment
        if ended.end is None:
            ended.end = len(ended.slots) // SLOT
        # In this order: an exception of a signal handler may end it between any two lines.
        if ended.done != ended.end and ended not in self._full:
            self._full.append(ended)
        self._lap += 1
        assert self._lap <= LAP_MAX, "a billion laps of 4 MiB"
        try:
            segment.begin(self._lap)
        except OSError as error:
            self._complain(error)
        self._defined.clear()
        self._segment = segment
        self._park()
        if ended.done == ended.end:  # It was drained to its end before.
            self._retire(ended)
        else:
            self._filled()
        for record in lasting:
            self._put_lasting(INTENT, record)
        return True

    def _lasting_intents(self) -> list[SpoolRecord]:
        """The intents to repeat in the next segment, the newest if there are very many."""
        kept, room = [], _INTENTS_NBYTES_MAX
        for _, record in reversed(list(self._intents.values())):
            room -= record.nbytes
            if room < 0:
                break
            kept.append(record)
        return kept[::-1]

    def _retire(self, segment: Segment) -> None:
        if segment.is_kept and self._rests:
            segment.remove()
        elif segment.is_kept and self._files > FILES_MAX:  # The log was away for long.
            segment.remove()
            self._files -= 1
        elif segment.is_kept:
            self._free.append(segment)
        elif segment.lap:  # The initial one has no slots and no lap.
            self._in_memory -= 1

    def _free_segment(self, slots: int) -> Segment | None:
        if slots <= SLOTS:
            if self._free:
                return self._free.pop()
            if self._is_full:
                return None
            if self._folder is not None and self._files < self._files_max:
                made = self._new_file(self._folder)
                if made is not None:
                    return made
            elif self._folder is not None and not self._overflows:
                return None
        if self._in_memory >= self._max_memory_segments:
            return None
        self._in_memory += 1
        return Segment(HEADER_NBYTES + SLOT * max(slots, SLOTS))

    @property
    def _is_full(self) -> bool:
        """Whether there are as many files as a log that may be away is waited for with."""
        return not self._waits and self._files >= self._files_max

    def _new_file(self, folder: HeldPath) -> Segment | None:
        segment = self._made_file(folder)
        if segment is not None:
            self._files += 1
        return segment

    def _made_file(self, folder: HeldPath) -> Segment | None:
        path = folder / f"{self.writer_id}-{next(self._numbers_of_files)}{SUFFIX}"
        kinds = (False,) if copies_on_write(folder.parent) else (True, False)
        for mapped in kinds:
            try:
                folder.make_folder()
                file = make_file(
                    path, SEGMENT_NBYTES, self.writer_id, mapped=mapped, private=self._wipes
                )
                return Segment(SEGMENT_NBYTES, file)
            except OSError as error:
                if mapped is kinds[-1]:
                    self._complain(error)
        return None

    def _write(self, segment: Segment, offset: int, slots: int) -> None:
        if segment.needs_writing:
            try:
                segment.write(offset, slots * SLOT)
            except OSError as error:
                self._complain(error)


Pack = Callable[[Segment, int, int], None]
"""Stores a record at an offset of a segment, for the channel of a number."""


def _no_segment() -> Segment:
    """A segment without room."""
    segment = Segment(HEADER_NBYTES)
    segment.begin(0)
    return segment


@lru_cache(maxsize=64)
def _definition(number: int, channel: Channel) -> SpoolRecord:
    return definition(number, channel)


class _Changing:
    """Within the block, which holds the spool's lock, the spool changes in several steps."""

    is_going_on = False

    def __enter__(self) -> None:
        self.is_going_on = True

    def __exit__(self, *raised: object) -> None:
        self.is_going_on = False
