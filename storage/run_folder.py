"""The files of a submitted run while it executes: its copy of the source, its logs, its locks.

    <workspace>/runs/<run id>/supervisor.lock    locked while somebody takes care of the run
    <workspace>/runs/<run id>/leash.lock         locked while its leash is alive
    <workspace>/runs/<run id>/end.json           its end, if the supervisor could not record it
    <workspace>/runs/<run id>/source/            the run's own copy of the source: where it executes
    <workspace>/runs/<run id>/user_logs/         its output, line by line
    <workspace>/runs/<run id>/system_logs/       its supervisor's output

The folder is removed when the run has ended and its files are in the artifact store. A folder
whose supervisor's lock is free belongs to a run that was lost. A folder is moved aside before it
is deleted, so that nobody ever finds half of one.

Only the user who submitted a run may enter its folder. A workspace may come from a stranger, so
what lies there is believed in nothing but what concerns the workspace itself.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from runlore.domain.errors import InvalidInput
from runlore.domain.ids import check_run_id
from runlore.storage.atomic_files import replacing
from runlore.storage.file_lock import is_at, is_locked, lock, try_lock
from runlore.storage.held_path import Entry, HeldPath
from runlore.storage.held_trees import remove_tree, walk
from runlore.storage.safe_paths import safe_name
from runlore.storage.this_process import boot_id

RUNS: Final = "runs"
SOURCE: Final = "source"
HEARTBEAT_S: Final = 5.0
SILENT_AFTER_S: Final = 60.0
"""After this much silence a supervisor on another machine counts as not responding."""
_ASIDE: Final = ".gone-"  # No run id starts with this.
_LOOK_MAX_S: Final = 1.0  # Readers hold a lock for far less, while they look.
_LOCK_MODE: Final = 0o600
_OWNER_NBYTES_MAX: Final = 1_000
_END_NBYTES_MAX: Final = 1 << 20
_MAKE_ATTEMPTS: Final = 10


class Owner(NamedTuple):
    """The machine that takes care of a run, and the boot of it since which it does."""

    host: str
    boot_id: str


class RunFolder:
    """The folder of one run. Making the object touches no disk. Raises InvalidInput for the id."""

    def __init__(self, workspace: HeldPath, run_id: str) -> None:
        self.run_id = check_run_id(run_id)
        self.workspace = workspace
        self.root = workspace / RUNS / run_id
        self.source = self.root / SOURCE
        self.user_logs = self.root / "user_logs"
        self.system_logs = self.root / "system_logs"
        self.supervisor_log = self.system_logs / "supervisor.txt"
        self._lock = self.root / "supervisor.lock"
        self._end = self.root / "end.json"
        self._leash_lock = self.root / "leash.lock"

    def make(self) -> None:
        """Make the folder, readable only by its owner: scripts may hold secrets."""
        self.root.parent.make_folder()
        self.root.make_folder(0o700)
        self.user_logs.make_folder()
        self.system_logs.make_folder()

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
        fd = lock(self._lock, patience_s=patience_s, mode=_LOCK_MODE)
        if fd is not None:
            _say_owner(fd)
        return fd

    def holds_lock(self, fd: int) -> bool:
        """Whether the descriptor is that of the lock which lies in the folder now."""
        return is_at(fd, self._lock)

    def exists(self) -> bool:
        """Whether anything is at the folder's path."""
        return self.root.exists()

    def owner_uid(self) -> int | None:
        """The user to whom the folder belongs; None if there is none, or it is not known."""
        try:
            return self.root.stat().st_uid
        except OSError:
            return None

    def is_foreign(self) -> bool:
        """Whether the folder holds files that no submission made: a submission locks it first."""
        return not self._lock.exists() and any(True for _ in walk(self.root))

    def is_locked(self) -> bool:
        """Whether somebody takes care of the run. Raises PermissionError if we may not look."""
        return is_locked(self._lock)

    def lock_leash(self) -> int | None:
        """The leash's lock as a descriptor; None if another leash has it."""
        return try_lock(self._leash_lock, mode=_LOCK_MODE)

    def has_leash(self) -> bool:
        """Whether a leash will end the run's processes."""
        return is_locked(self._leash_lock)

    def owner(self) -> Owner | None:
        """The last owner of the run; None if none is recorded."""
        try:
            host, boot = json.loads(self._lock.read_bytes(_OWNER_NBYTES_MAX))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        return Owner(host, boot) if isinstance(host, str) and isinstance(boot, str) else None

    def silence_s(self) -> float:
        """The time since the supervisor's last heartbeat, which is the file's time."""
        try:
            return time.time() - self._lock.stat().st_mtime
        except OSError:
            return 0.0

    def keep_end(self, status: str, error: Mapping[str, str] | None) -> None:
        """Keep the run's end for the next process that looks after the folder. Raises OSError."""
        with replacing(self._end) as file:
            file.write(json.dumps([status, error]).encode())

    def kept_end(self) -> tuple[str, dict[str, str] | None] | None:
        """The status and error of an end that was kept, if any; not checked."""
        try:
            status, error = json.loads(self._end.read_bytes(_END_NBYTES_MAX))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        texts = error is None or (
            isinstance(error, dict) and all(isinstance(text, str) for text in error.values())
        )
        return (status, error) if isinstance(status, str) and texts else None

    def log_path(self, name: str) -> HeldPath:
        """The path of a log (`user_logs/std_log.txt`, `logs/mine.txt`) while the run executes.

        Raises UnsafePath for a name that leads elsewhere.
        """
        ours = safe_name(name).partition("/")[0] in ("user_logs", "system_logs")
        return (self.root if ours else self.source) / name

    def remove(self) -> None:
        """Remove the folder, as far as possible."""
        aside = self.root.with_name(f"{_ASIDE}{os.urandom(8).hex()}")
        with suppress(OSError):  # It is gone already, or is not ours to move.
            self.root.rename(aside)
            remove_tree(aside)


def folders_in(workspace: HeldPath) -> Iterator[RunFolder]:
    """The folders of all runs that are executing or were lost."""
    for entry in _entries(workspace):
        with suppress(InvalidInput):  # Not a run's, whatever it is.
            yield RunFolder(workspace, entry.path.name)


def remove_leftovers(workspace: HeldPath) -> None:
    """Remove the folders that killed processes had moved aside and not removed."""
    for entry in _entries(workspace):
        if entry.path.name.startswith(_ASIDE):
            with suppress(OSError):  # Another user's, or another process removes it.
                remove_tree(entry.path)


def _entries(workspace: HeldPath) -> list[Entry]:
    """The folders among those of runs; none if there is no such folder, or it may not be read."""
    try:
        return [entry for entry in (workspace / RUNS).entries() if entry.is_folder]
    except OSError:
        return []


def beat(lock_fd: int) -> None:
    """Tell other machines that the supervisor is alive."""
    with suppress(OSError):
        os.utime(lock_fd)


def _say_owner(lock_fd: int) -> None:
    owner = json.dumps([os.uname().nodename, boot_id()]).encode()
    with suppress(OSError):  # A full disk, or a folder that only others may write.
        os.pwrite(lock_fd, owner, 0)
        os.ftruncate(lock_fd, len(owner))
