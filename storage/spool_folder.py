"""The spools of all processes of this host: values of dead processes and of live ones.

A file's lock says whether its owner lives. The first process that looks writes a dead owner's
values to the log; until then, and while the owner lives, readers find the values in the files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple

from runlore.domain.ids import parse_stream
from runlore.storage.event_log import Drained, DrainedMark, EventLog, StoredRow
from runlore.storage.journal import Journal, Pending
from runlore.storage.segment import locked, overwrite
from runlore.storage.spool_format import END, HEADER, MAGIC, SLOT
from runlore.storage.spool_reader import SlotReader
from runlore.storage.value_buffer import ValueStreams
from runlore.storage.value_codec import Part

_YOUNG_S: Final = 60.0


class Lap(NamedTuple):
    """The slots of one segment, as read from its file, without those that were never used."""

    number: int
    slots: bytes


class LiveValues(NamedTuple):
    """A run's values that are not in the log, and how much of their writers' spools the log held.

    `pieces` holds, by writer, one or more batches of parts, in the order of logging.
    """

    pieces: dict[str, list[list[Part]]]
    marks: dict[str, DrainedMark]

    def covers(self, row: StoredRow) -> bool:
        """Whether these include the row's values: it was written after the marks were read."""
        stream = parse_stream(row.stream)
        mark = self.marks.get(stream.writer_id) if stream else None
        return mark is not None and row.position > mark.position


NOTHING_LIVE: Final = LiveValues({}, {})


def recover(folder: Path, journal: Journal, *, wipe: bool = False) -> int:
    """Write the values of dead processes in the folder to the log; returns how many.

    With `wipe`, the files are overwritten before they are removed. If the log raises, so does this,
    and nothing is lost.
    """
    if not folder.is_dir():
        return 0
    count = 0
    for writer_id in sorted({_writer_of(path) for path in folder.glob("*.spool")}):
        count += _recover_writer(folder, writer_id, journal, wipe)
    return count


def live_values(
    folder: Path, log: EventLog, run_id: str, *, excluding_writer: str = ""
) -> LiveValues:
    """A run's values in the spools of the folder that are not in the log.

    A caller that has just flushed excludes its own writer: reading a spool takes milliseconds. Skip
    log events of a writer past its mark: their values are included here.
    """
    by_writer: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.spool")):
        by_writer.setdefault(_writer_of(path), []).append(path)
    by_writer.pop(excluding_writer, None)
    laps = {writer_id: _laps_of_living(paths) for writer_id, paths in by_writer.items()}
    if not any(laps.values()):
        return NOTHING_LIVE
    held = log.drained_marks()
    marks = {writer_id: held.get(writer_id, DrainedMark()) for writer_id in laps}
    parts = {}
    for writer_id, of_writer in laps.items():
        pieces = [of_runs.get(run_id) for of_runs in _values(of_writer, marks[writer_id])]
        found = [piece for piece in pieces if piece]
        if found:
            parts[writer_id] = found
    return LiveValues(parts, marks)


def _recover_writer(folder: Path, writer_id: str, journal: Journal, wipe: bool) -> int:
    with ExitStack() as stack:
        # The first file is locked while its owner lives, and is removed last.
        files = []
        for path in sorted(folder.glob(f"{writer_id}-*.spool")):
            fd = stack.enter_context(locked(path))
            if fd is None:
                return 0
            files.append((path, fd))
        if not files or _is_being_made(files[0][1]):
            return 0
        laps = [lap for _, fd in files if (lap := _lap_of(_read(fd))) is not None]
        count = _drain(writer_id, laps, journal)
        for path, fd in reversed(files):
            with suppress(OSError):
                if wipe:
                    overwrite(fd)
                path.unlink()
    return count


def _drain(writer_id: str, laps: Sequence[Lap], journal: Journal) -> int:
    mark = journal.log.drained_marks().get(writer_id, DrainedMark())
    streams = ValueStreams(writer_id)
    loaded: set[str] = set()
    pending: list[Pending] = []
    count = 0
    for of_runs in _values(laps, mark):
        for run_id, parts in of_runs.items():
            if run_id not in loaded:
                loaded.add(run_id)
                streams.load(journal, run_id)
            pending.append(streams.next(run_id, parts))
            count += sum(len(part.index) for part in parts)
    if pending:
        last = max(laps, key=attrgetter("number"))
        drained = Drained(writer_id, last.number, len(last.slots) // SLOT)
        journal.append(pending, drained=drained)
    return count


def _values(laps: Sequence[Lap], mark: DrainedMark) -> Iterator[dict[str, list[Part]]]:
    """The values in the laps after the mark, in the order of logging."""
    reader = SlotReader()
    for number, slots in sorted(laps):
        if number >= mark.lap:
            start = mark.slot if number == mark.lap else 0
            yield from reader.read(slots, number, first=0, start=start)


def _laps_of_living(paths: Sequence[Path]) -> list[Lap]:
    """The laps of a writer that may be writing: all values logged before this began."""
    with ExitStack() as stack:
        files = []
        for path in paths:
            with suppress(OSError):  # Gone: all its values are in the log.
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, fd)
                files.append((_lap_number(os.pread(fd, HEADER.size, 0)), fd))
        # The latest lap first: values added to an earlier lap in the meantime then leave no gap.
        laps = [_whole_lap(number, fd) for number, fd in sorted(files, reverse=True) if number]
    return [lap for lap in laps if lap is not None]


def _whole_lap(number: int, fd: int) -> Lap | None:
    """The slots that were complete at one moment; None if the next lap has begun by now.

    In that case all of this lap is in the log. A slot counts if the first read finds its mark: its
    content was there then, so the second read sees all of it, or that it was wiped in the meantime
    because it is in the log.
    """
    first, second = _lap_of(_read(fd)), _lap_of(_read(fd))
    if first is None or second is None or not first.number == second.number == number:
        return None
    slots = bytearray(second.slots[: len(first.slots)])
    before = memoryview(first.slots[: len(slots)]).cast("I")[7::8].tolist()
    now = memoryview(slots).cast("I")
    for place, (mark, then) in enumerate(zip(now[7::8].tolist(), before, strict=True)):
        if mark != then:
            now[8 * place + 7] = 0
    return Lap(number, bytes(slots))


def _lap_of(content: bytes) -> Lap | None:
    """The lap in a file; None if the file was never used."""
    number = _lap_number(content)
    if not number:
        return None
    slots = content[HEADER.size :]
    slots = slots[: len(slots) // SLOT * SLOT]
    marks = memoryview(slots).cast("I")[7::8].tolist()
    marks.reverse()
    try:
        unused = marks.index(number | END)
    except ValueError:
        unused = len(marks)
    return Lap(number, slots[: (len(marks) - unused) * SLOT])


def _lap_number(header: bytes) -> int:
    if len(header) < HEADER.size:
        return 0
    magic, number = HEADER.unpack_from(header)
    return int(number) if magic == MAGIC else 0


def _read(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size, 0)


def _is_being_made(fd: int) -> bool:
    """Whether the file is so new that its owner may be about to lock it."""
    is_young = time.time() - os.fstat(fd).st_mtime < _YOUNG_S
    return is_young and not _lap_number(os.pread(fd, HEADER.size, 0))


def _writer_of(path: Path) -> str:
    return path.name.partition("-")[0]
