"""The files of a pool: its slots, and hints at the runs in its queue.

    <workspace>/pools/<name>/slot-<n>    locked by the supervisor on it; holds its run's id
    <workspace>/pools/<name>/queue/      files named <time>-<run id>, one for each queued run

The hints are only hints: the log says whether a run is queued.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from runlore.execution.launch import PoolSlot
from runlore.storage.clock import now_us
from runlore.storage.file_lock import try_lock

POOLS: Final = "pools"


class Hint(NamedTuple):
    """A file that says that a run may be queued."""

    path: Path
    run_id: str

    def remove(self) -> None:
        """Remove the file. Idempotent."""
        self.path.unlink(missing_ok=True)


class PoolFolder:
    """The folder of one pool. Making the object touches no disk."""

    def __init__(self, workspace: Path, name: str) -> None:
        self.name = name
        self.root = workspace / POOLS / name
        self._queue = self.root / "queue"

    def enqueue(self, run_id: str) -> None:
        """Add a hint behind all others."""
        self._queue.mkdir(parents=True, exist_ok=True)
        (self._queue / f"{now_us():020d}-{run_id}").touch()

    def hints(self) -> Iterator[Hint]:
        """The runs that may be queued, oldest first."""
        try:
            names = sorted(os.listdir(self._queue))
        except FileNotFoundError:
            return
        for name in names:
            yield Hint(self._queue / name, name.partition("-")[2])

    def lock_free_slot(self, slots: int) -> PoolSlot | None:
        """A slot that no process had locked, locked; None if all are taken."""
        self.root.mkdir(parents=True, exist_ok=True)
        for number in range(slots):
            fd = try_lock(self._slot(number), mode=0o600)
            if fd is not None:
                return PoolSlot(self.name, number, fd)
        return None

    def written_holder(self, number: int) -> str:
        """The run that is written on a slot, or ""; a killed supervisor leaves its run's id."""
        try:
            return self._slot(number).read_text()
        except FileNotFoundError:
            return ""

    def _slot(self, number: int) -> Path:
        return self.root / f"slot-{number}"


def write_holder(slot: PoolSlot, run_id: str) -> None:
    """Write a run's id, or "", on a locked slot."""
    with suppress(OSError):
        os.ftruncate(slot.fd, 0)
        os.pwrite(slot.fd, run_id.encode(), 0)
