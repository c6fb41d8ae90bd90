"""The writers of a workspace, and which of them are alive.

    <workspace>/writers/<writer id>.lock

Each process that writes makes such a file before its first event, keeps it locked while it lives,
and removes it when it closes the workspace. The kernel frees the lock at the process's death, so a
free lock is the proof of it. Nothing else is: process ids are used again, and containers on one
kernel count their own. The file says whose it is, for people, and which file it is: in a copy of
the folder it is another one, and its free lock says nothing about the writer of the original.

A lock file is one line of JSON: its format, `device`, `inode` and `file_system` of the file
itself, the writer's id, and the process: see `ProcessIdentity`. Readers ignore other keys.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from runlore.storage import fork_guard, interruptions
from runlore.storage.errors import from_os
from runlore.storage.file_identity import FileIdentity, identity_of
from runlore.storage.file_lock import has_lock, is_at, open_lock_file, wait_and_take
from runlore.storage.filesystem import shows_locks_of
from runlore.storage.held_folder import UnsafeEntry
from runlore.storage.held_path import HeldPath
from runlore.storage.interruptions import AFTERWARDS
from runlore.storage.this_process import ProcessIdentity, boot_id, this_process

WRITERS: Final = "writers"
_FORMAT: Final = 1
_SUFFIX: Final = ".lock"
_WRITER_ID: Final = re.compile(r"[0-9a-f]{32}")
_NBYTES_MAX: Final = 64 << 10


class Life(Enum):
    """What is known of a writer's process."""

    ALIVE = "alive"
    DEAD = "dead"
    LEFT = "left"
    """It has no lock file: it closed the workspace, or all that it left was settled."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class WriterState:
    """What is known of a writer's process, and `why`, for people.

    `in_copy` says that the folder is a copy, in which nothing must be recorded for the writer.
    `process` is None if the lock file does not tell it.
    """

    life: Life
    why: str
    process: ProcessIdentity | None = None
    in_copy: bool = False


class WriterLock:
    """This process's lock files in a workspace: one for each writer that it is.

    There is one, unless the process was forked: the child lets go of its parent's and makes its
    own. Making the object touches no disk.
    """

    fork_order = fork_guard.ForkOrder.LOG

    def __init__(self, workspace: HeldPath) -> None:
        self._workspace = workspace
        self._lock = interruptions.new_lock(self)
        self._held: dict[str, int] = {}  # Descriptors by writer id.
        self._pid = os.getpid()
        fork_guard.guard(self)

    def make(self, writer_id: str) -> None:
        """Make the writer's lock file, unless it is made.

        Raises FolderMoved, LogReadOnly or DiskFull if it cannot be made.
        """
        with AFTERWARDS, self._lock:
            self._forget_parent()
            if writer_id not in self._held:
                self._held[writer_id] = _made(self._workspace, writer_id, this_process())

    def close(self) -> None:
        """Remove the lock files: this process writes no more."""
        with AFTERWARDS, self._lock:
            self._forget_parent()
            while self._held:
                writer_id, fd = self._held.popitem()
                path = lock_path(self._workspace, writer_id)
                with suppress(OSError):
                    if is_at(fd, path):  # Not what somebody put in its place.
                        path.unlink()
                os.close(fd)

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = interruptions.new_lock(self)
        self._forget_parent()

    def _forget_parent(self) -> None:
        """In a forked child: close the copies, which would keep the parent's locks after it."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            while self._held:
                os.close(self._held.popitem()[1])


def lock_path(workspace: HeldPath, writer_id: str) -> HeldPath:
    """The path of a writer's lock file. Raises ValueError for what is not a writer's id."""
    if _WRITER_ID.fullmatch(writer_id) is None:
        raise ValueError(f"{writer_id!r:.80} is not the id of a writer")
    return workspace / WRITERS / f"{writer_id}{_SUFFIX}"


def writers_in(workspace: HeldPath) -> list[str]:
    """The ids of the writers that have a lock file, sorted."""
    try:
        names = (workspace / WRITERS).names()
    except OSError:  # There is no folder, or it is another user's.
        return []
    ids = (name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))
    return sorted(filter(_WRITER_ID.fullmatch, ids))


def state_of(workspace: HeldPath, writer_id: str) -> WriterState:
    """What is known of a writer, from its lock file in the workspace's folder."""
    try:
        with _opened(lock_path(workspace, writer_id)) as fd:
            return _state(fd, workspace, writer_id)
    except ValueError as error:  # Of a log that a stranger wrote.
        return WriterState(Life.UNKNOWN, str(error))
    except FileNotFoundError:
        return WriterState(Life.LEFT, "it has no lock file")
    except OSError as error:
        return WriterState(Life.UNKNOWN, f"its lock file cannot be read: {error.strerror or error}")


def states_in(workspace: HeldPath) -> dict[str, WriterState]:
    """What is known of all writers that have a lock file, by their ids."""
    return {writer_id: state_of(workspace, writer_id) for writer_id in writers_in(workspace)}


def holds_copies(workspace: HeldPath) -> bool:
    """Whether the folder is a copy: it holds lock files of writers of another folder."""
    return any(state.in_copy for state in states_in(workspace).values())


def remove_lock(workspace: HeldPath, writer_id: str) -> None:
    """Remove the lock file of a writer that is dead or of another folder."""
    lock_path(workspace, writer_id).unlink(missing_ok=True)


def show_death(workspace: HeldPath, writer_id: str, process: ProcessIdentity) -> None:
    """Make the lock file of a dead writer whose own is in another folder: nobody holds its lock.

    Raises as `WriterLock.make` does.
    """
    folder = workspace / WRITERS
    with suppress(OSError):
        _unfinished(folder, writer_id).unlink()  # Of a call that was interrupted.
    os.close(_made(workspace, writer_id, process))


def _state(fd: int, workspace: HeldPath, writer_id: str) -> WriterState:
    content = _content(fd)
    if content is None or content.get("writer") != writer_id:
        return WriterState(Life.UNKNOWN, "its lock file is damaged")
    recorded, process = content["file"], content["process"]
    if not recorded.is_of(identity_of(fd)):
        why = f"copied workspace: {process} wrote to the original of this folder"
        return WriterState(Life.UNKNOWN, why, process, in_copy=True)
    if has_lock(fd):
        return WriterState(Life.ALIVE, f"{process} is alive", process)
    same_kernel = process.boot_id == boot_id()
    if not shows_locks_of(workspace, same_kernel=same_kernel):
        why = f"{process} may be alive: this file system does not show the locks of other machines"
        return WriterState(Life.UNKNOWN, why, process)
    return WriterState(Life.DEAD, f"{process} has ended without closing the workspace", process)


def _content(fd: int) -> dict[str, Any] | None:
    """The fields of a lock file; None if they are not those of a writer."""
    try:
        found = json.loads(os.pread(fd, _NBYTES_MAX, 0).partition(b"\n")[0])
        numbers = [found[name] for name in (*FileIdentity._fields, "pid", "started_at", "uid")]
        texts = [found[name] for name in ("writer", "host", "boot_id", "program")]
        if {*map(type, numbers)} != {int} or {*map(type, texts)} != {str}:
            return None
        return {
            "writer": found["writer"],
            "file": FileIdentity(*(found[name] for name in FileIdentity._fields)),
            "process": ProcessIdentity(*(found[name] for name in ProcessIdentity._fields)),
        }
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


@contextmanager
def _opened(path: HeldPath) -> Iterator[int]:
    fd = path.open()
    try:
        yield fd
    finally:
        os.close(fd)


def _unfinished(folder: HeldPath, writer_id: str) -> HeldPath:
    return folder / f".{writer_id}.new"


def _made(workspace: HeldPath, writer_id: str, process: ProcessIdentity) -> int:
    """A descriptor of a new lock file, which holds its lock."""
    folder = workspace / WRITERS
    made = _unfinished(folder, writer_id)
    try:
        folder.make_folder()
        fd = open_lock_file(made, flags=os.O_CREAT | os.O_EXCL)
        try:
            wait_and_take(fd)
            os.write(fd, _line(fd, writer_id, process))
            # It appears whole and locked: nobody finds one that looks like a dead writer's.
            made.rename(lock_path(workspace, writer_id))
        except BaseException:
            with suppress(OSError):
                made.unlink()
            os.close(fd)
            raise
    except UnsafeEntry:
        raise
    except FileNotFoundError as error:  # What is held can only be missing if it was removed.
        raise workspace.folder.moved() from error
    except OSError as error:
        raise from_os(error, folder) from error
    return fd


def _line(fd: int, writer_id: str, process: ProcessIdentity) -> bytes:
    content = {
        "format": _FORMAT,
        "writer": writer_id,
        **identity_of(fd)._asdict(),
        **process._asdict(),
    }
    return json.dumps(content).encode() + b"\n"
