"""The files of a submitted run while it executes: its copy of the source, its logs, its locks.

    <workspace>/runs/<run id>/supervisor.lock    locked while somebody takes care of the run
    <workspace>/runs/<run id>/leash.lock         locked while its leash is alive
    <workspace>/runs/<run id>/source/            the run's own copy of the source: where it executes
    <workspace>/runs/<run id>/user_logs/         its output, line by line
    <workspace>/runs/<run id>/system_logs/       its supervisor's output

The folder is removed when the run has ended and its files are in the artifact store. A folder
whose supervisor's lock is free belongs to a run that was lost. A folder is moved aside before it
is deleted, so that nobody ever finds half of one.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from runlore.storage.file_lock import is_locked, lock, try_lock
from runlore.storage.this_process import boot_id

RUNS: Final = "runs"
HEARTBEAT_S: Final = 5.0
SILENT_AFTER_S: Final = 60.0
"""After this much silence a supervisor on another machine counts as not responding."""
_ASIDE: Final = ".gone-"  # No run id starts with this.
_LOOK_MAX_S: Final = 1.0  # Readers hold a lock for far less, while they look.
_LOCK_MODE: Final = 0o600
_MAKE_ATTEMPTS: Final = 10


class Owner(NamedTuple):
    """The machine that takes care of a run, and the boot of it since which it does."""

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
        """Make the folder, readable only by its owner: scripts may hold secrets."""
        self.root.parent.mkdir(exist_ok=True)
        self.root.mkdir(mode=0o700, exist_ok=True)
        self.user_logs.mkdir(exist_ok=True)
        self.system_logs.mkdir(exist_ok=True)

    def make_and_lock(self) -> int | None:
        """Make the folder and lock it, as `lock` does; None if somebody else keeps the lock."""
        for _ in range(_MAKE_ATTEMPTS):
            # Until it is locked, a reader may take it for the leftover of a killed process.
            with suppress(FileNotFoundError):
                self.make()
                return self.lock(patience_s=_LOOK_MAX_S)
        self.make()
        return self.lock(patience_s=_LOOK_MAX_S)

    def lock(self, *, patience_s: float = 0.0) -> int | None:
        """The supervisor's lock as a descriptor, to be passed on; None if somebody else keeps it.

        Readers hold it for a moment while they look, so callers that need it must be patient.
        Raises FileNotFoundError if the folder is gone.
        """
        fd = lock(self.root / "supervisor.lock", patience_s=patience_s, mode=_LOCK_MODE)
        if fd is not None:
            _say_owner(fd)
        return fd

    def is_foreign(self) -> bool:
        """Whether the folder holds files that no submission made: a submission locks it first."""
        if (self.root / "supervisor.lock").exists():
            return False
        return any(not path.is_dir() for path in self.root.rglob("*"))

    def is_locked(self) -> bool:
        """Whether somebody takes care of the run. Raises PermissionError if we may not look."""
        return is_locked(self.root / "supervisor.lock")

    def lock_leash(self) -> int | None:
        """The leash's lock as a descriptor; None if another leash has it."""
        return try_lock(self.root / "leash.lock", mode=_LOCK_MODE)

    def has_leash(self) -> bool:
        """Whether a leash will end the run's processes."""
        return is_locked(self.root / "leash.lock")

    def owner(self) -> Owner | None:
        """The last owner of the run; None if none is recorded."""
        try:
            return Owner(*json.loads((self.root / "supervisor.lock").read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def silence_s(self) -> float:
        """The time since the supervisor's last heartbeat, which is the file's time."""
        try:
            return time.time() - (self.root / "supervisor.lock").stat().st_mtime
        except OSError:
            return 0.0

    def log_path(self, name: str) -> Path:
        """The path of a log (`user_logs/std_log.txt`, `logs/mine.txt`) while the run executes."""
        ours = name.partition("/")[0] in ("user_logs", "system_logs")
        return (self.root if ours else self.source) / name

    def remove(self) -> None:
        """Remove the folder, as far as possible."""
        aside = self.root.with_name(f"{_ASIDE}{os.urandom(8).hex()}")
        with suppress(OSError):  # It is gone already, or is not ours to move.
            self.root.rename(aside)
            _remove_tree(aside)


def folders_in(workspace: Path) -> Iterator[RunFolder]:
    """The folders of all runs that are executing or were lost."""
    with suppress(FileNotFoundError), os.scandir(workspace / RUNS) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(_ASIDE):
                yield RunFolder(workspace, entry.name)


def remove_leftovers(workspace: Path) -> None:
    """Remove the folders that killed processes had moved aside and not removed."""
    with suppress(FileNotFoundError), os.scandir(workspace / RUNS) as entries:
        for entry in entries:
            if entry.name.startswith(_ASIDE):
                _remove_tree(Path(entry.path))


def beat(lock_fd: int) -> None:
    """Tell other machines that the supervisor is alive."""
    with suppress(OSError):
        os.utime(lock_fd)


def _say_owner(lock_fd: int) -> None:
    owner = json.dumps([socket.gethostname(), boot_id()]).encode()
    with suppress(OSError):  # A full disk, or a folder that only others may write.
        os.pwrite(lock_fd, owner, 0)
        os.ftruncate(lock_fd, len(owner))


def _remove_tree(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():  # A script may have removed permissions from its own folders.
        _permit(folder)
        for above, names, _ in os.walk(folder):
            for name in names:
                _permit(Path(above, name))
        shutil.rmtree(folder, ignore_errors=True)


def _permit(folder: Path) -> None:
    with suppress(OSError):
        if not folder.is_symlink():
            folder.chmod(0o700)
