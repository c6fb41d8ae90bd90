"""The spools of all processes of this host: values of dead processes and of live ones.

A file's lock says whether its owner lives. The first process that looks writes a dead owner's
values to the log; until then, and while the owner lives, readers find the values in the files.

In a copy of a workspace's folder nothing is recovered: the owner of the original may be alive, and
writes its values there. Each file says which file it is, see `spool_format`.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from operator import attrgetter
from typing import Final, NamedTuple

from runlore.domain.events import ValuesLogged
from runlore.domain.ids import parse_stream
from runlore.storage.errors import LogCorrupt, LogReadOnly, from_os
from runlore.storage.event_log import Drained, DrainedMark, EventLog, StoredRow
from runlore.storage.file_identity import identity_of
from runlore.storage.file_lock import is_locked
from runlore.storage.filesystem import shows_locks_of
from runlore.storage.held_path import Entry, HeldPath
from runlore.storage.journal import Journal, Pending
from runlore.storage.segment import locked, overwrite
from runlore.storage.spool_format import END, SEGMENT_NBYTES, EndIntent
from runlore.storage.spool_layout import LAYOUT_2, SUFFIX_1, Layout, SegmentHeader, read_header
from runlore.storage.spool_reader import SlotReader
from runlore.storage.system_errors import TOO_MANY_FILES, fault_of
from runlore.storage.this_process import boot_id
from runlore.storage.value_buffer import ValueStreams
from runlore.storage.value_codec import Part
from runlore.storage.writers import holds_copies

_YOUNG_S: Final = 60.0
_NAME: Final = re.compile(r"([0-9a-f]{32})-[0-9]+\.spool2?")
_HEADER_NBYTES_MAX: Final = LAYOUT_2.header
_NBYTES_MAX: Final = 16 * SEGMENT_NBYTES
"""More than any spool has: a stranger's may be a hole of a terabyte."""
SPOOLS: Final = "spools"
DAMAGED: Final = ".damaged"
"""The suffix of files that are set aside, as something in them cannot be decoded."""


class Lap(NamedTuple):
    """The slots of one segment, as read from its file, without those that were never used."""

    number: int
    slots: bytes
    layout: Layout


class LiveValues(NamedTuple):
    """A run's values that are not in the log, and how much of their writers' spools the log held.

    `pieces` holds, by writer, one or more batches of parts, in the order of logging.
    """

    pieces: dict[str, list[list[Part]]]
    marks: dict[str, DrainedMark]

    def covers(self, row: StoredRow) -> bool:
        """Whether these include the row's values: it was written after the marks were read."""
        # The name of a damaged stream may be of any type.
        stream = parse_stream(row.stream) if isinstance(row.stream, str) else None
        mark = self.marks.get(stream.writer_id) if stream else None
        return mark is not None and row.position > mark.position


NOTHING_LIVE: Final = LiveValues({}, {})


class _Dead(NamedTuple):
    """A file of a dead process, locked by us."""

    path: HeldPath
    fd: int
    header: SegmentHeader | None
    content: bytes


class Recovery:
    """Writes the values of dead processes in a workspace's folder of spools to its log.

    With `wipe`, files are overwritten before they are removed. `record` is given a writer's id and
    the ends that its process could not write, oldest first, and returns when they are in the log;
    it may be given the same ones again. `warn` is told of values that are damaged, once: their file
    is set aside as `<name>.damaged`, or overwritten with `wipe`. `from_copies` recovers what was
    copied with the folder as well: for a copy that becomes a workspace of its own.
    """

    def __init__(
        self,
        folder: HeldPath,
        journal: Journal,
        *,
        wipe: bool = False,
        record: Callable[[str, Sequence[EndIntent]], None] | None = None,
        warn: Callable[[str], None] | None = None,
        from_copies: bool = False,
    ) -> None:
        self._folder = folder
        self._journal = journal
        self._wipe = wipe
        self._record = record
        self._warn = warn
        self._from_copies = from_copies

    def run(self) -> int:
        """Recover all that dead processes left; returns the number of values.

        If the log raises, so does this, and nothing is lost. A run that is damaged in the log stops
        only its own writers.
        """
        values = 0
        failed: LogCorrupt | LogReadOnly | None = None
        for writer_id, paths in _files_by_writer(self._folder).items():
            try:
                values += self._recover(writer_id, paths)
            except (LogCorrupt, LogReadOnly) as error:  # Another role's, on a server.
                failed = failed or error
        if failed is not None:
            raise failed
        return values

    def _recover(self, writer_id: str, paths: Sequence[HeldPath]) -> int:
        with ExitStack() as stack:
            # The first file is locked while its owner lives, and is removed last.
            files = []
            for path in paths:
                fd = stack.enter_context(locked(path))
                if fd is None:
                    return 0
                content = _read(fd)
                files.append(_Dead(path, fd, read_header(content), content))
            if _is_being_made(files[0]) or not all(self._is_ours(file) for file in files):
                return 0
            found = _decoded(writer_id, files, self._journal)
            if found.pending:
                self._journal.append(found.pending, drained=found.drained)
            if found.intents and self._record is not None:
                self._record(writer_id, found.intents)
            if found.damaged:
                self._tell(files, found.damaged)
            is_kept = found.damaged > 0 and not self._wipe
            for file in reversed(files):
                with suppress(OSError):
                    if self._wipe:
                        overwrite(file.fd)
                    if is_kept:
                        file.path.rename(file.path.with_name(file.path.name + DAMAGED))
                    else:
                        file.path.unlink()
        return found.values

    def _is_ours(self, file: _Dead) -> bool:
        """Whether a free lock of this file says that its owner is dead."""
        if self._from_copies:
            return True
        owner = None if file.header is None else file.header.owner
        if owner is None:  # Of format 1, or never used: it does not say which file it is.
            return not is_copied(self._folder.parent)
        if not owner.file.is_of(identity_of(file.fd)):
            return False
        return owner.boot_id == boot_id() or shows_locks_of(self._folder, same_kernel=False)

    def _tell(self, files: Sequence[_Dead], damaged: int) -> None:
        where = f"the spool is kept as {files[0].path}{DAMAGED}"
        if self._wipe:
            where = "they were overwritten"
        if self._warn is not None:
            self._warn(
                f"{damaged} records in the spool of a process that has ended are damaged and could "
                f"not be read; {where}, and all its other values are in the log"
            )


class _Found(NamedTuple):
    """The content of a dead process's spool that is not in the log."""

    pending: Sequence[Pending]
    drained: Drained | None
    values: int
    intents: Sequence[EndIntent]
    damaged: int


def _decoded(writer_id: str, files: Sequence[_Dead], journal: Journal) -> _Found:
    mark = journal.log.drained_marks().get(writer_id, DrainedMark())
    is_rubbish = [_is_rubbish(file, writer_id) for file in files]
    laps = [
        lap
        for file, skipped in zip(files, is_rubbish, strict=True)
        if not skipped and (lap := _lap_in(file.content)) is not None
    ]
    reader = _WriterReader(mark, with_intents=True)
    streams = ValueStreams(writer_id)
    loaded: set[str] = set()
    pending: list[Pending] = []
    for of_runs in reader.read(laps):
        for run_id, parts in of_runs.items():
            if run_id not in loaded:
                loaded.add(run_id)
                streams.load(journal, run_id)
            pending.append(streams.next(run_id, parts))
    drained = None
    if pending:
        last = max(laps, key=attrgetter("number"))
        drained = Drained(writer_id, last.number, len(last.slots) // last.layout.slot)
    events = (waiting.event for waiting in pending)
    count = sum(event.count for event in events if isinstance(event, ValuesLogged))
    damaged = reader.damaged + sum(is_rubbish)
    return _Found(pending, drained, count, reader.intents, damaged)


def recover(folder: HeldPath, journal: Journal, *, wipe: bool = False) -> int:
    """Write the values of dead processes in the folder to the log; returns how many.

    See `Recovery`.
    """
    return Recovery(folder, journal, wipe=wipe).run()


def live_values(
    folder: HeldPath, log: EventLog, run_id: str, *, excluding_writer: str = ""
) -> LiveValues:
    """A run's values in the spools of the folder that are not in the log; see `live_values_of`."""
    return live_values_of(folder, log, (run_id,), excluding_writer=excluding_writer)[run_id]


def live_values_of(
    folder: HeldPath, log: EventLog, run_ids: Collection[str], *, excluding_writer: str = ""
) -> dict[str, LiveValues]:
    """The values of each run in the spools of the folder that are not in the log.

    Each spool is read once, which takes milliseconds: a caller that has just flushed excludes its
    own writer. Skip log events of a writer past its mark: their values are included here. Raises
    TooManyOpenFiles.
    """
    by_writer = _files_by_writer(folder, all_of_them=True)
    by_writer.pop(excluding_writer, None)
    laps = {writer: _laps_of_living(writer, paths) for writer, paths in by_writer.items()}
    if not any(laps.values()):
        return dict.fromkeys(run_ids, NOTHING_LIVE)
    held = log.drained_marks()
    marks = {writer_id: held.get(writer_id, DrainedMark()) for writer_id in laps}
    found = {run_id: LiveValues({}, marks) for run_id in run_ids}
    for writer_id, of_writer in laps.items():
        for of_runs in _WriterReader(marks[writer_id]).read(of_writer):
            for run_id in of_runs.keys() & found.keys():
                if of_runs[run_id]:
                    found[run_id].pieces.setdefault(writer_id, []).append(of_runs[run_id])
    return found


def waiting_in(folder: HeldPath, log: EventLog) -> dict[str, int]:
    """By writer, the number of values in its spools that are not in the log; not 0."""
    held = log.drained_marks()
    found: dict[str, int] = {}
    for writer_id, paths in _files_by_writer(folder, all_of_them=True).items():
        reader = _WriterReader(held.get(writer_id, DrainedMark()))
        of_runs = reader.read(_laps_of_living(writer_id, paths))
        parts = chain.from_iterable(chain.from_iterable(one.values()) for one in of_runs)
        if nvalues := sum(len(part.times) for part in parts):
            found[writer_id] = nvalues
    return found


def ended_writers(folder: HeldPath, *, excluding: str) -> list[str]:
    """The ids of the writers, but one, that have a spool which nobody holds the lock of."""
    found = _files_by_writer(folder)
    found.pop(excluding, None)
    return [writer_id for writer_id, paths in found.items() if not _is_locked(paths[0])]


def _is_locked(path: HeldPath) -> bool:
    try:
        return is_locked(path)
    except OSError:  # Another user's, or not a plain file: not ours to recover.
        return True


def writers_with_spools(folder: HeldPath) -> list[str]:
    """The ids of the writers that have spools in the folder, sorted."""
    return sorted(_files_by_writer(folder))


def damaged_in(folder: HeldPath) -> list[HeldPath]:
    """The spools in the folder that were set aside, sorted."""
    try:
        return [folder / name for name in sorted(folder.names()) if name.endswith(DAMAGED)]
    except OSError:  # There may be none, or another user's.
        return []


def is_copied(workspace: HeldPath) -> bool:
    """Whether the folder is a copy of a workspace's, made while it had writers.

    It then holds lock files or spools of writers to the original.
    """
    return holds_copies(workspace) or holds_copied_spools(workspace)


def holds_copied_spools(workspace: HeldPath) -> bool:
    """Whether the folder holds spools of writers to another folder."""
    paths = chain.from_iterable(_files_by_writer(workspace / SPOOLS).values())
    return any(map(_is_of_another_folder, paths))


def _is_of_another_folder(path: HeldPath) -> bool:
    with suppress(OSError):
        fd = path.open()
        try:
            header = read_header(os.pread(fd, _HEADER_NBYTES_MAX, 0))
            owner = None if header is None else header.owner
            return owner is not None and not owner.file.is_of(identity_of(fd))
        finally:
            os.close(fd)
    return False


class _WriterReader:
    """Reads the laps of one writer, in the order of logging, without what is in the log.

    It says how many records were `damaged`. Intents of laps that are in the log may wait still.
    """

    def __init__(self, mark: DrainedMark, *, with_intents: bool = False) -> None:
        self._mark = mark
        self._with_intents = with_intents
        self.damaged = 0
        self.intents: list[EndIntent] = []

    def read(self, laps: Sequence[Lap]) -> Iterator[dict[str, list[Part]]]:
        """The values in the laps after the mark."""
        readers: dict[Layout, SlotReader] = {}
        for number, slots, layout in sorted(laps, key=attrgetter("number")):
            reader = readers.setdefault(layout, SlotReader(layout, verifies=True))
            start = 0
            if number < self._mark.lap:
                if not self._with_intents:
                    continue
                start = len(slots)
            elif number == self._mark.lap:
                start = self._mark.slot
            yield from reader.read(slots, number, first=0, start=start)
        for reader in readers.values():
            self.damaged += reader.damaged
            self.intents += reader.intents


def has_spool(folder: HeldPath, writer_id: str) -> bool:
    """Whether a writer has a spool, which nobody has recovered yet."""
    return writer_id in _files_by_writer(folder)


def _files_by_writer(folder: HeldPath, *, all_of_them: bool = False) -> dict[str, list[HeldPath]]:
    """The spools in the folder, in the order of their numbers, by writer.

    Raises TooManyOpenFiles if `all_of_them` are asked for and this process cannot look.
    """
    by_writer: dict[str, list[HeldPath]] = {}
    with (
        _gone_or(folder) if all_of_them else suppress(OSError)
    ):  # There may be none, or another user's.
        for path, _, is_file in sorted(folder.entries(), key=_name_of):
            found = _NAME.fullmatch(path.name)
            if found is not None and is_file:
                by_writer.setdefault(found[1], []).append(path)
    return by_writer


@contextmanager
def _gone_or(path: HeldPath) -> Iterator[None]:
    """Pass over what cannot be read; raise TooManyOpenFiles if this process can open no more."""
    try:
        yield
    except OSError as error:
        if fault_of(error) in TOO_MANY_FILES:
            raise from_os(error, path) from error


def _name_of(entry: Entry) -> str:
    return entry.path.name


def _laps_of_living(writer_id: str, paths: Sequence[HeldPath]) -> list[Lap]:
    """The laps of a writer that may be writing: all values logged before this began."""
    with ExitStack() as stack:
        files = []
        for path in paths:
            with _gone_or(path):  # Gone: all its values are in the log.
                fd = path.open()
                stack.callback(os.close, fd)
                header = read_header(os.pread(fd, _HEADER_NBYTES_MAX, 0))
                if header is not None and header.owner_is(writer_id):
                    files.append((header.lap, fd))
        # The latest lap first: values added to an earlier lap in the meantime then leave no gap.
        laps = [_whole_lap(number, fd) for number, fd in sorted(files, reverse=True)]
    return [lap for lap in laps if lap is not None]


def _whole_lap(number: int, fd: int) -> Lap | None:
    """The slots that were complete at one moment; None if the next lap has begun by now.

    In that case all of this lap is in the log. A slot counts if the first read finds its marks: its
    content was there then, so the second read sees all of it, or that it was wiped in the meantime
    because it is in the log.
    """
    first, second = _lap_in(_read(fd)), _lap_in(_read(fd))
    if first is None or second is None or not first.number == second.number == number:
        return None
    layout = first.layout
    slots = bytearray(second.slots[: len(first.slots)])
    now = memoryview(slots).cast("I")
    before = memoryview(first.slots[: len(slots)]).cast("I")
    each = 2 * layout.words
    for mark in {layout.mark, layout.mark + layout.again}:
        pairs = zip(now[mark::each].tolist(), before[mark::each].tolist(), strict=True)
        for place, (seen, then) in enumerate(pairs):
            if seen != then:
                now[each * place + mark] = 0
    return Lap(number, bytes(slots), layout)


def _lap_in(content: bytes) -> Lap | None:
    """The lap in a file; None if the file was never used or is no spool."""
    header = read_header(content)
    if header is None:
        return None
    number, layout, _ = header
    slots = content[layout.header :]
    slots = slots[: len(slots) // layout.slot * layout.slot]
    words = memoryview(slots).cast("I")
    used = max(
        _used(words[mark :: 2 * layout.words].tolist(), number | END)
        for mark in {layout.mark, layout.mark + layout.again}
    )
    return Lap(number, slots[: used * layout.slot], layout)


def _used(marks: list[int], end: int) -> int:
    """The number of slots up to the last one that has the mark."""
    marks.reverse()
    try:
        return len(marks) - marks.index(end)
    except ValueError:
        return 0


def _read(fd: int) -> bytes:
    return os.pread(fd, min(os.fstat(fd).st_size, _NBYTES_MAX), 0)


def _is_being_made(file: _Dead) -> bool:
    """Whether the file is so new that its owner may be about to lock it."""
    is_young = time.time() - os.fstat(file.fd).st_mtime < _YOUNG_S
    return is_young and file.header is None


def _is_rubbish(file: _Dead, writer_id: str) -> bool:
    """Whether the file holds something, and not what its name says."""
    if file.header is None:
        return file.content.count(0) < len(file.content)
    is_first = file.header.layout != LAYOUT_2
    is_named_first = file.path.name.endswith(SUFFIX_1)
    return is_first is not is_named_first or not file.header.owner_is(writer_id)
