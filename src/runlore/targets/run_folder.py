"""The files of a submitted run while it executes: its copy of the source, its logs, its locks.

    <workspace>/runs/<run id>/supervisor.lock    locked as long as somebody takes care of the run
    <workspace>/runs/<run id>/leash.lock         locked as long as its leash is alive
    <workspace>/runs/<run id>/source/            the run's own copy of the source: where it executes
    <workspace>/runs/<run id>/user_logs/         what it prints, line by line
    <workspace>/runs/<run id>/system_logs/       what its supervisor has to say

The folder goes when the run has ended and its files are in the artifact store. A folder whose
supervisor's lock is free belongs to a run that was lost.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

RUNS: Final = "runs"
HEARTBEAT_S: Final = 5.0
SILENT_AFTER_S: Final = 60.0
"""A supervisor on another machine that was silent for so long is not responding."""


class Owner(NamedTuple):
    """Which machine, since which start of it, takes care of a run."""

    host: str
    boot_id: str


class RunFolder:
    """The folder of one run. Making the object touches no disk."""

    def __init__(self, workspace: Path, run_id: str) -> None:
        self.run_id = run_id
        self.root = workspace / RUNS / run_id
        self.source = self.root / "source"
        self.user_logs = self.root / "user_logs"
        self.system_logs = self.root / "system_logs"
        self.supervisor_log = self.system_logs / "supervisor.txt"

    def make(self) -> None:
        """Makes the folder, for its owner alone: scripts may hold what others must not read."""
        self.root.parent.mkdir(exist_ok=True)
        self.root.mkdir(mode=0o700, exist_ok=True)
        self.user_logs.mkdir(exist_ok=True)
        self.system_logs.mkdir(exist_ok=True)

    def lock(self, *, wait: bool = False) -> int | None:
        """The supervisor's lock as a descriptor, to be passed on; None if somebody has it.

        Readers hold it for the moment of a look: who must have it waits. Raises
        FileNotFoundError if the folder has gone.
        """
        fd = try_lock(self.root / "supervisor.lock", wait=wait)
        if fd is not None:
            owner = json.dumps([socket.gethostname(), boot_id()]).encode()
            with suppress(OSError):  # A full disk, or a folder that only others may write.
                os.pwrite(fd, owner, 0)
                os.ftruncate(fd, len(owner))
        return fd

    def is_locked(self) -> bool:
        """Whether somebody takes care of the run."""
        return _is_locked(self.root / "supervisor.lock")

    def lock_leash(self) -> int | None:
        """The leash's lock as a descriptor; None if another leash has it."""
        return try_lock(self.root / "leash.lock")

    def has_leash(self) -> bool:
        """Whether a leash will end the run's processes."""
        return _is_locked(self.root / "leash.lock")

    def owner(self) -> Owner | None:
        """Who took care of the run last; None if nobody said so."""
        try:
            return Owner(*json.loads((self.root / "supervisor.lock").read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def silence_s(self) -> float:
        """For how long nothing was heard of the supervisor, by the file's time."""
        try:
            return time.time() - (self.root / "supervisor.lock").stat().st_mtime
        except OSError:
            return 0.0

    def log_path(self, name: str) -> Path:
        """Where a log (`user_logs/std_log.txt`, `logs/mine.txt`) is while the run executes."""
        ours = name.partition("/")[0] in ("user_logs", "system_logs")
        return (self.root if ours else self.source) / name

    def remove(self) -> None:
        """Takes the folder away, as far as it can."""
        # The lock goes last: without it, nobody looks at what is left.
        for entry in (self.source, self.user_logs, self.system_logs):
            _remove_tree(entry)
        _remove_tree(self.root)


def folders_in(workspace: Path) -> Iterator[RunFolder]:
    """The folders of all runs that execute, or were lost."""
    with suppress(FileNotFoundError), os.scandir(workspace / RUNS) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield RunFolder(workspace, entry.name)


def beat(lock_fd: int) -> None:
    """Lets other machines know that the supervisor is alive."""
    with suppress(OSError):
        os.utime(lock_fd)


def try_lock(path: Path, *, wait: bool = False) -> int | None:
    """A descriptor that holds the lock of a file, which is made; None if somebody else does."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def boot_id() -> str:
    """Which start of which machine this is; "" where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _is_locked(path: Path) -> bool:
    """Also for those who may only read: a shared lock shows whether there is another."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _remove_tree(folder: Path) -> None:
    shutil.rmtree(folder, onerror=_make_writable)


def _make_writable(function: object, path: str, _: object) -> None:
    """A script may have taken the write permission from its own folders."""
    parent = os.path.dirname(path)
    with suppress(OSError):
        os.chmod(parent, 0o700)
        os.chmod(path, 0o700, follow_symlinks=os.chmod not in os.supports_follow_symlinks)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)
