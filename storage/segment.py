"""The memory into which values are logged, and the file that backs it.

Three kinds, from the best to the last resort:

mapped    a mapped file: a stored value survives the death of the process at once. The file is
          filled with zeros first, as a store into a hole on a full disk kills the process (SIGBUS).
written   memory, with each record also written to a file by `write`. For file systems that copy on
          write, where overwriting a page may need new room, and for disks without 4 MiB free.
memory    no file: where none can be made, and for workspaces in memory.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Final

from runlore.storage.file_identity import FileIdentity, identity_of
from runlore.storage.file_lock import is_at, open_lock_file, take_within, try_lock
from runlore.storage.held_path import HeldPath
from runlore.storage.spool_format import (
    HEADER_NBYTES,
    SEGMENT_NBYTES,
    SLOT,
    SpoolOwner,
    pack_header,
)
from runlore.storage.this_process import this_process

SLOTS: Final = (SEGMENT_NBYTES - HEADER_NBYTES) // SLOT
"""The number of slots in a segment, unless it was made for a longer record."""

_ZEROS: Final = bytes(1 << 20)
_LOOK_MAX_S: Final = 0.5


class Segment:
    """Slots to write to, and how many of them are full and drained.

    `slots` begins after the header; `done` and `end` are numbers of slots. `end` is where the last
    lap ended, or None while it continues.
    """

    def __init__(self, nbytes: int, file: SpoolFile | None = None) -> None:
        self._file = file
        self._owner = None if file is None else file.owner
        self._writes = False
        memory = file.mapping if file and file.mapping is not None else bytearray(nbytes)
        self._header = memoryview(memory)[:HEADER_NBYTES]
        self.slots = memoryview(memory)[HEADER_NBYTES:]
        self.offsets: Iterator[int] = iter(())
        self.lap = 0
        self.done = 0
        self.end: int | None = None
        self.definitions: list[tuple[int, int]] = []

    @property
    def is_kept(self) -> bool:
        """Whether values stored here survive the process."""
        return self._file is not None

    @property
    def is_volatile(self) -> bool:
        """Whether values stored now end with the process."""
        return self._file is None or (self._file.mapping is None and not self._writes)

    @property
    def is_lost(self) -> bool:
        """Whether its file was removed, so that the values in it end with the process."""
        return self._file is not None and self._file.is_removed

    @property
    def needs_writing(self) -> bool:
        """Whether each record must be passed to `write`."""
        return self._writes

    def begin(self, lap: int) -> None:
        """Start another lap; values stored before belong to an earlier one from now on.

        Raises OSError; the segment then takes values in memory only.
        """
        if self._owner is not None:
            self._header[:] = pack_header(lap, self._owner)
        self.lap, self.done, self.end = lap, 0, None
        self.definitions = []
        self.offsets = count(0, SLOT)
        self._writes = False
        if self._file is not None and self._file.mapping is None:
            self._file.write(self._header, 0)
            self._writes = True

    def write(self, offset: int, nbytes: int) -> None:
        """Write the slots from this offset on to the file.

        Raises OSError; later values then stay in memory only, until the next lap.
        """
        assert self._file is not None, "call it only if needs_writing"
        try:
            self._file.write(self.slots[offset : offset + nbytes], HEADER_NBYTES + offset)
        except OSError:
            self._writes = False
            raise

    def wipe(self, start: int, stop: int) -> None:
        """Overwrite drained slots with zeros, except `definitions`, which later slots need.

        These are (offset, size) of the definitions of series. Raises OSError.
        """
        at, end = start * SLOT, stop * SLOT
        for offset, nbytes in [*sorted(self.definitions), (end, 0)]:
            if at < min(offset, end):
                zeros = bytes(min(offset, end) - at)
                self.slots[at : at + len(zeros)] = zeros
                if self._file is not None and self._file.mapping is None:
                    self._file.write(memoryview(zeros), HEADER_NBYTES + at)
            at = max(at, offset + nbytes)

    def forget(self) -> None:
        """In a forked child: let go of the parent's file and of its lock."""
        self._release()
        if self._file is not None:
            self._file.let_go()
            self._file = None

    def remove(self) -> None:
        """Remove the file; a call that still writes to it gets a ValueError."""
        self._release()
        if self._file is not None:
            self._file.remove()
            self._file = None

    def _release(self) -> None:
        with suppress(BufferError):  # A view that is still in use keeps the mapping alive.
            self.slots.release()
            self._header.release()
            if self._file is not None and self._file.mapping is not None:
                self._file.mapping.close()


class SpoolFile:
    """A segment's file, locked while its owner lives."""

    def __init__(
        self, path: HeldPath, fd: int, mapping: mmap.mmap | None, owner: SpoolOwner
    ) -> None:
        self.path = path
        self.mapping = mapping
        self.owner = owner
        self._fd = fd

    def write(self, data: memoryview, offset: int) -> None:
        """Write all of the data at this offset. Raises OSError."""
        while data:
            written = os.pwrite(self._fd, data, offset)
            data, offset = data[written:], offset + written

    @property
    def is_removed(self) -> bool:
        """Whether somebody took the file away."""
        return os.fstat(self._fd).st_nlink == 0

    def remove(self) -> None:
        """Takes the file away and lets go of it."""
        with suppress(OSError):
            self.path.unlink()
        self.let_go()

    def let_go(self) -> None:
        """Closes the file; the lock is free when no forked child has it open either."""
        os.close(self._fd)


def make_file(
    path: HeldPath, nbytes: int, writer_id: str, *, mapped: bool, private: bool = False
) -> SpoolFile:
    """A new file of a writer at the path, locked: mapped and full of zeros, or empty.

    A `private` one is for this user only, others as the umask says. Raises OSError.
    """
    fd = open_lock_file(path, mode=0o600 if private else 0o666, flags=os.O_CREAT | os.O_EXCL)
    mapping = None
    try:
        # It may be ours only in a moment: who looks for dead processes' files holds it for as long.
        if not take_within(fd, _LOOK_MAX_S):
            raise BlockingIOError(errno.EWOULDBLOCK, "another process keeps its lock", str(path))
        if mapped:
            _write_zeros(fd, nbytes)
            mapping = mmap.mmap(fd, nbytes)
        if not is_at(fd, path):
            raise FileNotFoundError(f"{path} was taken away while it was made")
        owner = _owner(identity_of(fd), writer_id)
    except BaseException:
        if mapping is not None:
            mapping.close()
        os.close(fd)  # First: removing takes a descriptor, and there may be no other one.
        with suppress(OSError):
            path.unlink()
        raise
    return SpoolFile(path, fd, mapping, owner)


def _owner(file: FileIdentity, writer_id: str) -> SpoolOwner:
    process = this_process()
    return SpoolOwner(
        file, writer_id, process.boot_id, process.started_at, process.uid, process.pid
    )


def _write_zeros(fd: int, nbytes: int) -> None:
    written = 0
    while written < nbytes:
        # In one call where it can be: other threads get in between calls.
        full, rest = divmod(nbytes - written, len(_ZEROS))
        written += os.pwritev(fd, [*[_ZEROS] * full, _ZEROS[:rest]], written)


def overwrite(fd: int) -> None:
    """Overwrites a file with zeros, down to the disk. Raises OSError."""
    nbytes = os.fstat(fd).st_size
    if nbytes:
        _write_zeros(fd, nbytes)
        os.fsync(fd)


@contextmanager
def locked(path: HeldPath) -> Iterator[int | None]:
    """A descriptor of the file, if nobody else holds its lock and it is still there."""
    fd, is_there = None, False
    with suppress(OSError):  # Gone in the meantime, another user's, or not a plain file.
        fd = try_lock(path, flags=0)
        is_there = fd is not None and is_at(fd, path)
    try:
        yield fd if is_there else None
    finally:
        if fd is not None:
            os.close(fd)
