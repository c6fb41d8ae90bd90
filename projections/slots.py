"""Where a reading process keeps its database: in a folder that it alone uses, or in memory.

DuckDB locks a file even against readers, so no two processes share one. Each takes the first
folder `reader-<k>` whose lock is free, with whatever database is in it, and only catches up from
there: start-up stays flat, and a dead process's file is the next one's.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Protocol


class Place(Protocol):
    """Where a database is, where its large queries spill to and where its sealed points are.

    None is nowhere: points are then not sealed.
    """

    database: str
    spill: Path | None
    segments: Path | None

    def clear(self) -> None:
        """Removes the database, which must be closed."""

    def release(self) -> None:
        """Lets go of the place, whose database is closed."""

    def forget(self) -> None:
        """In a forked child: lets the parent keep it."""


class Slot:
    """A folder that this process alone uses, until `release()` or its death."""

    def __init__(self, folder: Path, fd: int) -> None:
        self.folder = folder
        self.database = str(folder / "projection.duckdb")
        self.spill: Path | None = folder / "spill"
        self.segments: Path | None = folder / "segments"
        self._fd: int | None = fd

    def clear(self) -> None:
        for path in self.folder.glob("projection.duckdb*"):
            path.unlink(missing_ok=True)
        if self.segments is not None:
            shutil.rmtree(self.segments, ignore_errors=True)
            with suppress(OSError):  # Then the database, too, cannot be made there.
                self.segments.mkdir()

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def forget(self) -> None:
        self.release()  # Closing does not unlock while the parent holds its copy.


class Memory:
    """A database in memory, gone with its connection; it spills to a temporary folder."""

    def __init__(self) -> None:
        self.database = ":memory:"
        self.spill: Path | None = None
        self.segments: Path | None = None
        try:
            self.spill = Path(tempfile.mkdtemp(prefix="runlore-"))
        except OSError:  # No room, no right: what does not fit into memory fails.
            return
        self._remove = weakref.finalize(self, shutil.rmtree, self.spill, ignore_errors=True)

    def clear(self) -> None:
        pass

    def release(self) -> None:
        if self.spill is not None:
            self._remove()

    def forget(self) -> None:
        if self.spill is not None:
            self._remove.detach()


def claim(folder: Path) -> Slot:
    """The first free slot below the folder. Raises OSError if none can be made there."""
    for number in count():
        slot = folder / f"reader-{number}"
        slot.mkdir(parents=True, exist_ok=True)
        if not os.access(slot, os.W_OK):
            continue
        try:
            fd = os.open(slot / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except PermissionError:  # Another user's.
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
        except BaseException:
            os.close(fd)
            raise
        else:
            # A process that was killed leaves its spilled pages behind.
            shutil.rmtree(slot / "spill", ignore_errors=True)
            (slot / "segments").mkdir(exist_ok=True)
            return Slot(slot, fd)
    raise AssertionError("count() does not end")


def place_below(folder: Path | None) -> Place:
    """A slot below the folder, or memory where there is none or it cannot be written."""
    if folder is not None:
        try:
            return claim(folder)
        except OSError:
            pass
    return Memory()
