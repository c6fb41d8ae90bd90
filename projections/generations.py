"""Generations: copies of a caught-up database that new reading processes start from.

`generations/<position>/` holds `projection.duckdb`, the files of `segments/` as hard links, and
`leaf`, that of the log's event at that position. Nothing in it ever changes. A reader copies the
database and links the segments into its own slot, so a generation can be deleted at any time, even
while it is read: linked files live on.

The holder of the lock file makes a generation aside and renames it; a process that is killed
in between leaves a folder that readers ignore and the next holder removes. There is no
fsync: a file that a power failure tore is found to be damaged, and the tables are rebuilt.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple
from uuid import uuid4

from runlore.projections.segment_files import READ_ONLY
from runlore.storage.event_log import EventLog
from runlore.storage.file_lock import is_at, locked
from runlore.storage.stamp import leaf_at

KEPT: Final = 2

DATABASE: Final = "projection.duckdb"
SEGMENTS: Final = "segments"
LEAF: Final = "leaf"
_HALF_MADE: Final = "new-"


class Publishing(NamedTuple):
    """When a process publishes its tables as a generation.

    A catch-up that took longer than `after_s` is worth it; it begins `pause_s` after the answer,
    as a question is seldom the only one. A generation that is less than `worth_positions` ahead
    is neither copied nor replaced by a new one.
    """

    after_s: float = 0.2
    pause_s: float = 0.3
    worth_positions: int = 2_000


PUBLISHING: Final = Publishing()


class Generation:
    """A finished generation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.position = int(folder.name)

    def belongs_to(self, log: EventLog) -> bool:
        """Whether it was made of this very log."""
        return belongs(log, self.position, (self.folder / LEAF).read_bytes())

    def copy_to(self, slot: Path) -> None:
        """Copies the database and links the segments into an empty slot. Raises OSError."""
        _link_all(self.folder / SEGMENTS, slot / SEGMENTS)
        aside = slot / f"{DATABASE}.new"
        with (self.folder / DATABASE).open("rb") as source:
            copy_file(source.fileno(), aside)
        aside.rename(slot / DATABASE)  # Last: a slot without a database is empty.


def belongs(log: EventLog, position: int, leaf: bytes) -> bool:
    """Whether the log has an event with this leaf at a position.

    The leaf is computed anew: a log that somebody has changed may keep leaves of what it held.
    """
    return leaf_at(log, position) == leaf


def finished(folder: Path) -> list[Generation]:
    """The finished generations below a folder, the newest first."""
    try:
        found = [Generation(path) for path in folder.iterdir() if path.name.isdecimal()]
    except OSError:
        return []
    return sorted(found, key=lambda generation: generation.position, reverse=True)


def usable(
    folder: Path,
    log: EventLog,
    *,
    after_position: int,
    worth_positions: int = PUBLISHING.worth_positions,
) -> Iterator[Generation]:
    """The generations of this log, newest first, that are worth copying at a position."""
    least = max(after_position + worth_positions if after_position else 1, log.last_erasure())
    for generation in finished(folder):
        if generation.position < least:
            return
        with suppress(OSError):  # Another process is removing it, or it is unreadable.
            if generation.belongs_to(log):
                yield generation


def publish(
    folder: Path,
    slot: Path,
    position: int,
    leaf: bytes,
    last_erasure: Callable[[], int],
    *,
    replace: bool = False,
    worth_positions: int = PUBLISHING.worth_positions,
) -> bool:
    """Makes the slot, whose database is checkpointed, the newest generation; True if it did.

    Returns False if another process is publishing, if the newest generation is almost as recent,
    or if a run was erased in the meantime: an erasure removes all generations under the same
    lock, so none appears after it. With `replace` the existing ones are taken to be damaged and
    removed. Raises OSError.
    """
    folder.mkdir(exist_ok=True)
    with locked(folder / "lock") as lock:
        # A lock that is not there any more, because the folder was given back, locks nobody out.
        if lock is None or not is_at(lock, folder / "lock") or position < last_erasure():
            return False
        for half_made in folder.glob(f"{_HALF_MADE}*"):
            shutil.rmtree(half_made, ignore_errors=True)
        if replace:
            _remove(finished(folder))
        held = [generation.position for generation in finished(folder)]
        if any(abs(position - other) < worth_positions for other in held):
            return False
        _make(folder, slot, position, leaf)
        _remove(finished(folder)[KEPT:])
        return True


def adopt(folder: Path, position: int, fill: Callable[[Path], None]) -> bool:
    """Makes a generation of what the function puts into an empty folder; True if it did.

    Returns False if another process is publishing. Raises what the function raises.
    """
    folder.mkdir(exist_ok=True)
    with locked(folder / "lock") as lock:
        if lock is None or not is_at(lock, folder / "lock"):
            return False
        _made(folder, position, fill)
        _remove(finished(folder)[KEPT:])
        return True


def _make(folder: Path, slot: Path, position: int, leaf: bytes) -> None:
    def fill(new: Path) -> None:
        (new / SEGMENTS).mkdir()
        _link_all(slot / SEGMENTS, new / SEGMENTS)
        with _open_as_it_is(slot / DATABASE) as source:
            copy_file(source, new / DATABASE)
        (new / LEAF).write_bytes(leaf)

    _made(folder, position, fill)


def _made(folder: Path, position: int, fill: Callable[[Path], None]) -> None:
    new = folder / f"{_HALF_MADE}{uuid4().hex}"
    new.mkdir()
    try:
        fill(new)
        new.rename(folder / str(position))
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


def _remove(generations: Sequence[Generation]) -> None:
    for generation in generations:
        # Renamed first, so that no process finds half of it under its name.
        gone = generation.folder.with_name(f"{_HALF_MADE}{generation.folder.name}")
        with suppress(OSError):
            generation.folder.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)


def remove_all(folder: Path) -> bool:
    """Removes all generations; False if another process is publishing one. Raises OSError."""
    return remove_from_before(folder, None)


def remove_from_before(folder: Path, erasure: int | None) -> bool:
    """The same for those from before an erasure at this position; None means all."""
    if folder.is_symlink() or not folder.is_dir():
        return True
    with locked(folder / "lock", flags=os.O_CREAT | os.O_NOFOLLOW) as lock:
        if lock is None:
            return False
        for path in folder.iterdir():
            newer = erasure is not None and path.name.isdecimal() and int(path.name) >= erasure
            if path.is_dir() and not path.is_symlink() and not newer:
                shutil.rmtree(path)
        return True


def give_back(folder: Path) -> bool:
    """Removes the folder with all generations; False if a process is publishing one, or OSError."""
    try:
        if not remove_all(folder):
            return False
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


@contextmanager
def _open_as_it_is(path: Path) -> Iterator[int]:
    """A descriptor of the file: DuckDB's own if this process has the file open in DuckDB.

    Closing any other descriptor of it would drop DuckDB's lock (POSIX locks are so), and users'
    tools could then write to the file.
    """
    wanted = path.stat()
    for name in os.listdir("/dev/fd"):
        with suppress(OSError, ValueError):
            found = os.fstat(int(name))
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                yield int(name)
                return
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def copy_file(source: int, target: Path) -> None:
    """Copies all of an open file, in the kernel where it can, without moving in the source."""
    left = os.fstat(source).st_size
    offset = 0
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        while left > 0:
            done = _copy_some(source, fd, left, offset)
            if done == 0:
                raise OSError(f"{target} could not be copied: its source became shorter")
            offset, left = offset + done, left - done
    finally:
        os.close(fd)


_AT_ONCE: Final = 2**20


def _copy_some(source: int, target: int, count: int, offset: int) -> int:
    if hasattr(os, "copy_file_range"):  # Linux; shares the blocks where the file system can.
        with suppress(OSError):  # Not between these file systems.
            done: int = os.copy_file_range(source, target, count, offset, offset)
            return done
    return os.pwrite(target, os.pread(source, min(count, _AT_ONCE), offset), offset)


def _link_all(source: Path, target: Path) -> None:
    for path in source.iterdir():
        try:
            os.link(path, target / path.name)
        except OSError:  # Another file system, no links here, another user's file.
            with path.open("rb") as opened:
                copy_file(opened.fileno(), target / path.name)
            (target / path.name).chmod(READ_ONLY)
