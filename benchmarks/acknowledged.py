"""Counters in a shared file: what a process had got back from its logging calls when it died.

A counter is raised after the call has returned; the page cache outlives the process, so no
acknowledgement is lost by `kill -9`, and writing one costs no system call.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

WIDTH: Final = 8
SLOTS: Final = 16


def counters(path: Path) -> memoryview:
    """The counters in the file, made if it is not there; shared with whoever opens it."""
    if not path.exists():
        path.write_bytes(bytes(WIDTH * SLOTS))
    with path.open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), WIDTH * SLOTS)).cast("q")


def log_for_ever(log: Callable[[float], object], count: memoryview, per_s: float) -> None:
    """Logs 0.0, 1.0, 2.0, ... and counts what returned; `per_s` 0 is as fast as it goes."""
    number = 0
    started = time.monotonic()
    while True:
        log(float(number))
        number += 1
        count[0] = number
        if per_s:
            time.sleep(max(0.0, started + number / per_s - time.monotonic()))


def compare(found: list[float], acknowledged: int) -> dict[str, int]:
    """How many acknowledged values are missing, and how many are there more than once."""
    once = set(found)
    lost = sum(1 for number in range(acknowledged) if float(number) not in once)
    return {"acknowledged": acknowledged, "lost": lost, "repeated": len(found) - len(once)}
