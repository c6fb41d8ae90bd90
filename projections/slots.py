"""Where a reading process keeps its database: in a folder that it alone uses, or in memory.

DuckDB locks a file even against readers, so no two processes share one. Each takes the first
folder `reader-<k>` whose lock is free, with whatever database is in it, and only catches up from
there: start-up stays flat, and a dead process's file is the next one's. The first few stay when
their processes end; those that many processes at once have made beyond them are given back.
"""

from __future__ import annotations

import errno
import os
import shutil
import weakref
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple, Protocol
from uuid import uuid4

from runlore.storage.file_lock import is_at, locked, try_lock

KEPT: Final = 4
"""How many slots stay when no process uses them."""

GIVEN_BACK: Final = "gone-"
"""The beginning of the name of a folder that is being removed."""

_SLOT: Final = "reader-"
_TRIES: Final = 100


Stamp = frozenset[tuple[str, int, int, int]]
"""Name, inode, size and time of the last write of each file."""


class DatabasePlace(Protocol):
    """Where a database is, the folder of the immutable files that belong to it (None: there are
    none), and where its large queries spill to (None: nowhere).
    """

    database: str
    segments: Path | None
    spill: Path | None

    def clear(self) -> None:
        """Removes the database, which must be closed, and its segments."""

    def stamp(self) -> Stamp:
        """What gets new members when the database is committed to, or a segment is written."""

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

    @property
    def begun_after(self) -> int:
        """The last erasure before the tables here were begun; 0 if there was none."""
        return _begun_after(self.folder)

    def holds_database(self) -> bool:
        """Whether there is one, of whatever kind."""
        return (self.folder / "projection.duckdb").exists()

    def begin(self, last_erasure: int) -> None:
        """Notes that the tables here are read after the last erasure, at this position."""
        if last_erasure:
            (self.folder / "erasure").write_text(str(last_erasure), encoding="ascii")

    def clear(self) -> None:
        for path in self.folder.glob("projection.duckdb*"):
            path.unlink(missing_ok=True)
        if self.segments is not None:
            shutil.rmtree(self.segments, ignore_errors=True)
            with suppress(OSError):  # Then the database, too, cannot be made there.
                self.segments.mkdir()

    def stamp(self) -> Stamp:
        database = (one for one in _stats_in(self.folder) if one[0].startswith("projection.duckdb"))
        return frozenset((*database, *_stats_in(self.folder / "segments")))

    def release(self) -> None:
        if self._fd is not None:
            if _number_of(self.folder) >= KEPT:
                _give_back(self.folder)
            else:
                with suppress(OSError):
                    os.utime(self._fd)  # Used until now.
            self._close()

    def forget(self) -> None:
        self._close()  # That does not unlock while the parent holds its copy.

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _stats_in(folder: Path) -> Iterator[tuple[str, int, int, int]]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # An erasure removes files at any time.
                found = entry.stat(follow_symlinks=False)
                yield entry.name, found.st_ino, found.st_size, found.st_mtime_ns


class Memory:
    """A database in memory, gone with its connection; it spills to a temporary folder."""

    def __init__(self) -> None:
        import tempfile

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

    def stamp(self) -> Stamp:
        return frozenset()

    def release(self) -> None:
        if self.spill is not None:
            self._remove()

    def forget(self) -> None:
        if self.spill is not None:
            self._remove.detach()


def claim(folder: Path) -> ReaderSlot:
    """The first free slot below the folder. Raises OSError if none can be made there."""
    for number in count():
        slot = folder / f"{_SLOT}{number}"
        fd = _try_slot(slot)
        if fd is not None:
            _prepare(slot, fd)
            return ReaderSlot(slot, fd)
    raise AssertionError("count() does not end")


def _try_slot(slot: Path) -> int | None:
    """A descriptor that holds the slot's lock; None if another process has the slot."""
    for _ in range(_TRIES):
        try:
            slot.mkdir(parents=True, exist_ok=True)
            if not os.access(slot, os.W_OK):
                return None
            fd = try_lock(slot / "lock", mode=0o600)
        except PermissionError:
            if slot.exists():  # Another user's.
                return None
            raise
        except FileNotFoundError:  # It was given back in the meantime.
            continue
        if fd is None or is_at(fd, slot / "lock"):
            return fd
        os.close(fd)
    raise FileNotFoundError(errno.ENOENT, "the folder is removed again and again", str(slot))


def _prepare(slot: Path, fd: int) -> None:
    try:
        (slot / "segments").mkdir(exist_ok=True)
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        os.utime(fd)  # Used from now on, even if nothing was written.
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
        try:
            with locked(self.folder / "lock", flags=os.O_NOFOLLOW) as lock:
                holds = _begun_after(self.folder) < erasure
                if holds and lock is not None:
                    _remove_files(self.folder)
                return holds and lock is None
        except FileNotFoundError:  # It was given back.
            return False


def remove_from_before(folder: Path, erasure: int) -> list[InUse]:
    """Removes the data in slots below the folder from before an erasure at this position.

    Also the files of slots in use, which are returned: a process that has them open drops them
    before its next answer. Raises OSError.
    """
    in_use = []
    for slot in slots_in(folder):
        if _begun_after(slot) >= erasure:
            continue
        with suppress(FileNotFoundError), locked(slot / "lock", flags=_OWN) as lock:
            if lock is None:
                in_use.append(InUse(slot, _user_of(slot)))
            _remove_files(slot)
    return in_use


def slots_in(folder: Path) -> list[Path]:
    """The slots below the folder, by number; links are none."""
    found = [path for path in folder.glob(f"{_SLOT}*") if _number_of(path) >= 0]
    return sorted((path for path in found if not path.is_symlink()), key=_number_of)


def last_use_ns(slot: Path) -> int:
    """When a process last claimed or released the slot; 0 if none did."""
    try:
        return os.lstat(slot / "lock").st_mtime_ns
    except OSError:
        return 0


def process_in(slot: Path) -> int | None:
    """The id of the process that has the slot; None if none has."""
    try:
        with locked(slot / "lock", flags=os.O_NOFOLLOW) as lock:
            return _user_of(slot) if lock is None else None
    except FileNotFoundError:
        return None


def give_back(slot: Path) -> bool:
    """Remove a slot, unless a process has it; say whether it is gone. Raises OSError."""
    try:
        with locked(slot / "lock", flags=_OWN) as lock:
            if lock is None:
                return False
            # Who has opened the lock in the meantime finds that it is not there any more.
            _give_back(slot)
            return True
    except FileNotFoundError:
        return True


_OWN: Final = os.O_CREAT | os.O_NOFOLLOW


def _give_back(slot: Path) -> None:
    """Remove a slot whose lock is held. What is left after a kill, the next tidying removes."""
    gone = slot.with_name(f"{GIVEN_BACK}{uuid4().hex}")
    with suppress(OSError):  # Its folder was removed.
        slot.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _number_of(slot: Path) -> int:
    """The slot's number; -1 if the name is none of a slot."""
    prefix, _, number = slot.name.rpartition("-")
    return int(number) if f"{prefix}-" == _SLOT and number.isdecimal() else -1


def _user_of(slot: Path) -> int:
    """The process that locked the slot, as it says; 0 if it has not said it yet."""
    text = (slot / "lock").read_bytes()
    return int(text) if text.isdigit() else 0


def _begun_after(slot: Path) -> int:
    """The last erasure before the slot's tables were begun; 0 if there was none."""
    try:
        return int((slot / "erasure").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _remove_files(slot: Path) -> None:
    for path in slot.iterdir():
        if path.is_dir() and not path.is_symlink():
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
