"""Memory that the conductor shares with one process: how its clock is wrong, and what it is doing.

It is a mapped file, so a count that is there outlives `kill -9`. A lane is a thread; it is busy
while it has begun more operations than it has ended.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Final

LANES: Final = 4
_WORDS: Final = 3 + 2 * LANES
_PID, _STOP, _CLOCK = range(3)


class Control:
    """The shared words of a process; the file is made if it is not there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        os.ftruncate(fd, 8 * _WORDS)
        self._words = memoryview(mmap.mmap(fd, 8 * _WORDS)).cast("q")
        os.close(fd)

    @property
    def pid(self) -> int:
        """The process; 0 before it has begun."""
        return self._words[_PID]

    def enter(self, pid: int) -> None:
        """Say that the process has begun."""
        self._words[_PID] = pid

    @property
    def stops(self) -> bool:
        """Whether the process shall end soon."""
        return bool(self._words[_STOP])

    def stop(self) -> None:
        """Ask the process to end soon."""
        self._words[_STOP] = 1

    @property
    def clock_ns(self) -> int:
        """By how much the process's clock is ahead, in nanoseconds."""
        return self._words[_CLOCK]

    @clock_ns.setter
    def clock_ns(self, ahead: int) -> None:
        self._words[_CLOCK] = ahead

    def begin(self, lane: int) -> None:
        """Count an operation that a lane begins."""
        self._words[3 + lane] += 1

    def end(self, lane: int) -> None:
        """Count an operation that a lane has ended, whether it failed or not."""
        self._words[3 + LANES + lane] += 1

    def counts(self) -> list[tuple[int, int]]:
        """How many operations each lane has begun and ended."""
        words = self._words.tolist()
        return list(zip(words[3 : 3 + LANES], words[3 + LANES :], strict=True))
