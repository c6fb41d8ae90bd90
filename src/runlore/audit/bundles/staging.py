"""Events on their way from a bundle into the log, in a file without a name.

While events are appended, all other writers wait. They must not wait for a bundle on a slow disk,
nor for it to be unpacked. So the events are first written to a file, ready to be appended. It lies
in the workspace's folder, whose disk must have room for them anyway, and loses its name at once: so
the system removes it when the process ends, however it ends.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import msgpack

from runlore.storage.atomic_files import WholeFile, explained
from runlore.storage.event_log import NewEvent
from runlore.storage.held_path import hold

if TYPE_CHECKING:
    from runlore.storage.event_log import EventLog
    from runlore.storage.held_path import HeldPath

PREFIX: Final = ".runlore-import-"

_BUFFER_NBYTES: Final = 2**20
_EVENT_MAX_NBYTES: Final = 2**29


class StagedEvents:
    """Events in the order in which they were added; reading them ends the adding."""

    def __init__(self, file: WholeFile) -> None:
        self._file = file
        self._pack = msgpack.Packer().pack
        self._waiting = bytearray()

    def add(self, event: NewEvent) -> None:
        """Keep an event. Raises FileNotWritten, on a full disk for example."""
        self._waiting += self._pack(event)
        if len(self._waiting) >= _BUFFER_NBYTES:
            self._write()

    def finish(self) -> None:
        """Write the events that wait in memory. Raises FileNotWritten."""
        self._write()

    def read(self) -> Iterator[NewEvent]:
        """All events, from the first one on; one reader at a time."""
        self._file.seek(0)
        unpacker = msgpack.Unpacker(
            self._file, read_size=_BUFFER_NBYTES, max_buffer_size=_EVENT_MAX_NBYTES
        )
        for fields in unpacker:
            yield NewEvent(*fields)

    def _write(self) -> None:
        self._file.write(self._waiting)
        self._waiting.clear()


@contextmanager
def staging(log: EventLog) -> Iterator[StagedEvents]:
    """A place for events on their way into a log, for the time of the block."""
    folder = log.folder or hold(tempfile.gettempdir())
    with explained(folder):
        _remove_leftovers(folder)
        file = _nameless(folder)
    with file:
        yield StagedEvents(file)


def _nameless(folder: HeldPath) -> WholeFile:
    path = folder / f"{PREFIX}{os.urandom(8).hex()}"
    file = WholeFile(path.open(os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), path, folder)
    path.unlink(missing_ok=True)  # Another import may have taken it for a leftover.
    return file


def _remove_leftovers(folder: HeldPath) -> None:
    """Remove the names of files whose processes were killed before they did; they are empty."""
    for name in folder.names():
        if name.startswith(PREFIX):
            with suppress(OSError):
                (folder / name).unlink()
