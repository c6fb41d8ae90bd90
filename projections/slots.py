"""Where a reading process keeps its database: in a folder that it alone uses, or in memory.

DuckDB locks a file even against readers, so no two processes share one. Each takes the first
folder `reader-<k>` whose lock is free, with whatever database is in it, and only catches up from
there: start-up stays flat, and a dead process's file is the next one's.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple, Protocol

from runlore.storage.file_lock import locked, try_lock


class DatabasePlace(Protocol):
    """Where a database is, the folder of the immutable files that belong to it (None: there are
    none), and where its large queries spill to (None: nowhere).
    """

    database: str
    segments: Path | None
    spill: Path | None

    def clear(self) -> None:
        """Removes the database, which must be closed, and its segments."""

    def release(self) -> None:
        """Lets go of the place, whose database is closed."""

    def forget(self) -> None:
        """In a forked child: lets the parent keep it."""


class ReaderSlot:
    """A folder that this process alone uses, until `release()` or its death."""

    def __init__(self, folder: Path, fd: int) -> None:
        self.folder = folder
        self.database = str(folder / "projection.duckdb")
        self.segments: Path | None = folder / "segments"
        self.spill: Path | None = folder / "spill"
        self._fd: int | None = fd

    def holds_database(self) -> bool:
        """Whether there is one, of whatever kind."""
        return (self.folder / "projection.duckdb").exists()

    def begin(self, last_erasure: int) -> None:
        """Notes that the tables here are read after the last erasure, at this position."""
        if last_erasure:
            (self.folder / "erasure").write_text(str(last_erasure))

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
        self.segments: Path | None = None
        self.spill: Path | None = None
        try:
            self.spill = Path(tempfile.mkdtemp(prefix="runlore-"))
        except OSError:  # No space or no permission: larger queries fail.
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


def claim(folder: Path) -> ReaderSlot:
    """The first free slot below the folder. Raises OSError if none can be made there."""
    for number in count():
        slot = folder / f"reader-{number}"
        slot.mkdir(parents=True, exist_ok=True)
        if not os.access(slot, os.W_OK):
            continue
        try:
            fd = try_lock(slot / "lock")
        except PermissionError:  # Another user's.
            continue
        if fd is not None:
            _prepare(slot, fd)
            return ReaderSlot(slot, fd)
    raise AssertionError("count() does not end")


def _prepare(slot: Path, fd: int) -> None:
    try:
        (slot / "segments").mkdir(exist_ok=True)
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
    except BaseException:
        os.close(fd)
        raise
    # A killed process leaves its spilled pages here.
    shutil.rmtree(slot / "spill", ignore_errors=True)


class InUse(NamedTuple):
    """A slot that a living process has, and that process."""

    folder: Path
    pid: int

    def holds_from_before(self, erasure: int) -> bool:
        """Whether the process still has data erased at or before this position.

        If it has ended, its files are removed.
        """
        with locked(self.folder / "lock", flags=0) as lock:
            holds = _begun_after(self.folder) < erasure
            if holds and lock is not None:
                _remove_files(self.folder)
            return holds and lock is None


def remove_from_before(folder: Path, erasure: int) -> list[InUse]:
    """Removes the data in slots below the folder from before an erasure at this position.

    Also the files of slots in use, which are returned: a process that has them open drops them
    before its next answer. Raises OSError.
    """
    in_use = []
    for slot in folder.glob("reader-*"):
        if _begun_after(slot) >= erasure:
            continue
        with locked(slot / "lock") as lock:
            if lock is None:
                in_use.append(InUse(slot, int((slot / "lock").read_bytes() or b"0")))
            _remove_files(slot)
    return in_use


def _begun_after(slot: Path) -> int:
    """The last erasure before the slot's tables were begun; 0 if there was none."""
    try:
        return int((slot / "erasure").read_text() or 0)
    except FileNotFoundError:
        return 0


def _remove_files(slot: Path) -> None:
    for path in slot.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != "lock":
            path.unlink(missing_ok=True)


def place_below(folder: Path | None) -> DatabasePlace:
    """A slot below the folder, or memory where there is none or it cannot be written."""
    if folder is not None:
        try:
            return claim(folder)
        except OSError:
            pass
    return Memory()
