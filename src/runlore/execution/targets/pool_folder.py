"""The files of a pool: its slots, and hints at the runs in its queue.

    <workspace>/pools/<name>/slot-<n>    locked by the supervisor on it; holds its run's id
    <workspace>/pools/<name>/queue/      files named <time>-<run id>, one for each queued run
    <workspace>/pools/<name>/watch-<uid> locked by the process that watches the slots for a user

The hints are only hints: the log says whether a run is queued. All users of the workspace share the
slots; a hint belongs to the user who submitted its run.
"""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NamedTuple

from runlore.domain.errors import InvalidInput
from runlore.domain.ids import check_run_id, check_target_name
from runlore.execution.launch import PoolSlot
from runlore.storage.clock import now_us
from runlore.storage.file_lock import is_locked, try_lock
from runlore.storage.held_path import HeldPath

POOLS: Final = "pools"
_HOLDER_NBYTES_MAX: Final = 1_000
_WATCH: Final = "watch-"
_UID: Final = re.compile(r"[0-9]{1,10}")


class Hint(NamedTuple):
    """A file that says that a run may be queued."""

    path: HeldPath
    run_id: str

    def uid(self) -> int | None:
        """The user who queued the run; None if the file is gone."""
        try:
            return self.path.stat().st_uid
        except OSError:
            return None

    def remove(self) -> None:
        """Remove the file. Idempotent."""
        self.path.unlink(missing_ok=True)


class PoolFolder:
    """The folder of one pool. Making the object touches no disk. Raises InvalidInput for a name."""

    def __init__(self, workspace: HeldPath, name: str) -> None:
        self.name = check_target_name(name)
        self.root = workspace / POOLS / name
        self._queue = self.root / "queue"

    def enqueue(self, run_id: str) -> None:
        """Add a hint behind all others, unless the run has one."""
        self._queue.make_folder(parents=True)
        if any(hint.run_id == run_id for hint in self.hints()):
            return
        name = f"{now_us():020d}-{run_id}"
        os.close((self._queue / name).open(os.O_WRONLY | os.O_CREAT))

    def hints(self) -> Iterator[Hint]:
        """The runs that may be queued, oldest first."""
        try:
            names = sorted(self._queue.names())
        except FileNotFoundError:
            return
        for name in names:
            with suppress(InvalidInput):  # Not a hint, whatever it is.
                yield Hint(self._queue / name, check_run_id(name.partition("-")[2]))

    def lock_free_slot(self, slots: int, *, free_for_s: float = 0.0) -> PoolSlot | None:
        """A slot that no process had locked, locked; None if all are taken.

        With `free_for_s`, one that was given back longer ago than that.
        """
        self.root.make_folder(parents=True)
        for number in range(slots):
            if free_for_s and self._free_since_s(number) < free_for_s:
                continue
            fd = try_lock(self._slot(number))
            if fd is not None:
                return PoolSlot(self.name, number, fd)
        return None

    def _free_since_s(self, number: int) -> float:
        try:
            age_s = time.time() - self._slot(number).stat().st_mtime
        except FileNotFoundError:
            return math.inf
        return age_s if age_s >= 0 else math.inf  # The clock was set back.

    def is_slot_locked(self, number: int) -> bool:
        """Whether a process is on the slot."""
        try:
            return is_locked(self._slot(number))
        except OSError:  # Not what a pool makes.
            return True

    def written_holder(self, number: int) -> str:
        """The run that is written on a slot, or ""; a killed supervisor leaves its run's id."""
        try:
            return check_run_id(self._slot(number).read_bytes(_HOLDER_NBYTES_MAX).decode())
        except (OSError, InvalidInput, UnicodeDecodeError):
            return ""

    def lock_watch(self) -> int | None:
        """The lock of this user's watch as a descriptor; None if there is one already."""
        self.root.make_folder(parents=True)
        return try_lock(self.root / f"{_WATCH}{os.geteuid()}", mode=0o644)

    def watched_for(self) -> set[int]:
        """The users for whom a process watches the slots."""
        try:
            names = self.root.names()
        except OSError:
            return set()
        users = {name: name.removeprefix(_WATCH) for name in names if name.startswith(_WATCH)}
        return {
            int(uid) for name, uid in users.items() if _UID.fullmatch(uid) and self._is_held(name)
        }

    def _is_held(self, name: str) -> bool:
        try:
            return is_locked(self.root / name)
        except OSError:
            return False

    def _slot(self, number: int) -> HeldPath:
        return self.root / f"slot-{number}"


def write_holder(slot: PoolSlot, run_id: str) -> None:
    """Write a run's id, or "", on a locked slot."""
    with suppress(OSError):
        os.ftruncate(slot.fd, 0)
        os.pwrite(slot.fd, run_id.encode(), 0)
        os.utime(slot.fd)
