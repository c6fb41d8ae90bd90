"""Who hangs: a process that is not stopped and makes no progress, while others do.

Time is the process's own. While it waits it is that of the clock; while it could run, as on a busy
machine, it is that of the processor: a process that gets no processor does not hang.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.chaos.soak.control import LANES, Control

_PATIENCE: Final = 3
"""So many times longer may an operation take if nobody makes progress: all may wait for it."""


@dataclass
class Seen:
    """A process that was seen by its control file, and what was last seen of it.

    `counts` are the operations that each lane has begun and ended; `still_s` says for how long an
    operation has gone on while the process was not stopped and others made progress; time in which
    nobody did counts less.
    """

    name: str
    kind: str
    control: Control
    ended: bool = False
    stopped: bool = False
    counts: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)] * LANES)
    still_s: list[float] = field(default_factory=lambda: [0.0] * LANES)
    ran_s: float = 0.0

    @property
    def pid(self) -> int:
        return self.control.pid

    @property
    def is_living(self) -> bool:
        return bool(self.pid) and not self.ended

    def own_s(self, passed_s: float) -> float:
        """How much of the time that has passed was the process's own."""
        before, (self.ran_s, can_run) = self.ran_s, _ran(self.pid)
        return min(passed_s, self.ran_s - before) if can_run else passed_s


def _ran(pid: int) -> tuple[float, bool]:
    """The processor time of a process in seconds, and whether one of its threads could run now."""
    process = Path("/proc", str(pid))
    states, ticks = [], 0
    with suppress(OSError):  # It has ended, or a thread has; or this is another system.
        states = [_words_of(thread)[0] for thread in process.glob("task/*/stat")]
        ticks = sum(map(int, _words_of(process / "stat")[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK"), "R" in states or "D" in states


def _words_of(stat: Path) -> list[str]:
    """The fields after the name, which may have spaces; the first one is the state."""
    return stat.read_text().rpartition(")")[2].split()


def those_that_hang(seen: Iterable[Seen], passed_s: float, limit_s: float) -> list[Seen]:
    """Look at living processes `passed_s` after the last look; those that hang for the limit."""
    seen = list(seen)
    before = [one.counts for one in seen]
    for one in seen:
        one.counts = one.control.counts()
    any_moved = any(one.counts != counts for one, counts in zip(seen, before, strict=True))
    for one, counts in zip(seen, before, strict=True):
        own_s = one.own_s(passed_s)
        for lane, (begun, ended) in enumerate(one.counts):
            if begun == ended or (begun, ended) != counts[lane]:
                one.still_s[lane] = 0.0
            elif not one.stopped:
                one.still_s[lane] += own_s if any_moved else own_s / _PATIENCE
    return [one for one in seen if max(one.still_s) > limit_s]
