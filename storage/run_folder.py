"""The files of a submitted run while it executes: its copy of the source, its logs, its locks.

    <workspace>/runs/<run id>/supervisor.lock    locked as long as somebody takes care of the run
    <workspace>/runs/<run id>/leash.lock         locked as long as its leash is alive
    <workspace>/runs/<run id>/source/            the run's own copy of the source: where it executes
    <workspace>/runs/<run id>/user_logs/         what it prints, line by line
    <workspace>/runs/<run id>/system_logs/       what its supervisor has to say

The folder goes when the run has ended and its files are in the artifact store. A folder whose
supervisor's lock is free belongs to a run that was lost. It is moved aside before it is taken
apart, so that nobody ever finds half of one.
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
_ASIDE: Final = ".gone-"  # What no run id starts with.
_LOOK_MAX_S: Final = 1.0  # Readers hold a lock for the moment of a look, far shorter.
_LOCK_INTERVAL_S: Final = 0.005
_MAKE_ATTEMPTS: Final = 10


class Owner(NamedTuple):
    """Which machine, since which start of it, takes care of a run."""

    host: str
    boot_id: str


class RunFolder:
    """The folder of one run. Making the object touches no disk."""

    def __init__(self, workspace: Path, run_id: str) -> None:
        self.run_id = run_id
        self.workspace = workspace
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

    def make_and_lock(self) -> int | None:
        """Makes the folder and locks it, as `lock` does; None if somebody keeps the lock."""
        for _ in range(_MAKE_ATTEMPTS):
            # A reader may take it for what a killed process had left, until it is locked.
            with suppress(FileNotFoundError):
                self.make()
                return self.lock(patience_s=_LOOK_MAX_S)
        self.make()
        return self.lock(patience_s=_LOOK_MAX_S)

    def lock(self, *, patience_s: float = 0.0) -> int | None:
        """The supervisor's lock as a descriptor, to be passed on; None if somebody keeps it.

        Readers hold it for the moment of a look: who must have it is patient. Raises
        FileNotFoundError if the folder has gone.
        """
        path = self.root / "supervisor.lock"
        deadline = time.monotonic() + patience_s
        while True:
            fd = try_lock(path)
            if fd is not None and _is_at(fd, path):
                _say_owner(fd)
                return fd
            if fd is not None:  # The folder was moved aside between opening and locking.
                unlock(fd)
            elif time.monotonic() >= deadline:
                return None
            else:
                time.sleep(_LOCK_INTERVAL_S)

    def is_foreign(self) -> bool:
        """Whether something is there that no submission has put there: it locks first."""
        if (self.root / "supervisor.lock").exists():
            return False
        return any(not path.is_dir() for path in self.root.rglob("*"))

    def is_locked(self) -> bool:
        """Whether somebody takes care of the run. Raises PermissionError if we may not know."""
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
        aside = self.root.with_name(f"{_ASIDE}{os.urandom(8).hex()}")
        with suppress(OSError):  # It has gone already, or is not ours to move.
            self.root.rename(aside)
            _remove_tree(aside)


def folders_in(workspace: Path) -> Iterator[RunFolder]:
    """The folders of all runs that execute, or were lost."""
    with suppress(FileNotFoundError), os.scandir(workspace / RUNS) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(_ASIDE):
                yield RunFolder(workspace, entry.name)


def remove_leftovers(workspace: Path) -> None:
    """Takes away what was moved aside by processes that were killed before they had removed it."""
    with suppress(FileNotFoundError), os.scandir(workspace / RUNS) as entries:
        for entry in entries:
            if entry.name.startswith(_ASIDE):
                _remove_tree(Path(entry.path))


def beat(lock_fd: int) -> None:
    """Lets other machines know that the supervisor is alive."""
    with suppress(OSError):
        os.utime(lock_fd)


def try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock of a file, which is made; None if somebody else does."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def unlock(fd: int) -> None:
    """Lets a lock go, whoever else has its descriptor: a process that was forked meanwhile."""
    fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


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
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(fd, fcntl.LOCK_UN)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _say_owner(lock_fd: int) -> None:
    owner = json.dumps([socket.gethostname(), boot_id()]).encode()
    with suppress(OSError):  # A full disk, or a folder that only others may write.
        os.pwrite(lock_fd, owner, 0)
        os.ftruncate(lock_fd, len(owner))


def _remove_tree(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():  # A script may have taken the permissions from its own folders.
        _permit(folder)
        for above, names, _ in os.walk(folder):
            for name in names:
                _permit(Path(above, name))
        shutil.rmtree(folder, ignore_errors=True)


def _permit(folder: Path) -> None:
    with suppress(OSError):
        if not folder.is_symlink():
            folder.chmod(0o700)
