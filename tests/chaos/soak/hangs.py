"""Who hangs: a process that is not stopped and makes no progress, while others do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
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

    @property
    def pid(self) -> int:
        return self.control.pid

    @property
    def is_living(self) -> bool:
        return bool(self.pid) and not self.ended


def those_that_hang(seen: Iterable[Seen], passed_s: float, limit_s: float) -> list[Seen]:
    """Look at living processes `passed_s` after the last look; those that hang for the limit."""
    seen = list(seen)
    before = [one.counts for one in seen]
    for one in seen:
        one.counts = one.control.counts()
    any_moved = any(one.counts != counts for one, counts in zip(seen, before, strict=True))
    for one, counts in zip(seen, before, strict=True):
        for lane, (begun, ended) in enumerate(one.counts):
            if begun == ended or (begun, ended) != counts[lane]:
                one.still_s[lane] = 0.0
            elif not one.stopped:
                one.still_s[lane] += passed_s if any_moved else passed_s / _PATIENCE
    return [one for one in seen if max(one.still_s) > limit_s]
