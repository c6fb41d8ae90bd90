"""The clock that gives events their times."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

Clock = Callable[[], int]
"""Returns microseconds since 1970 UTC."""

SKEW_US: Final = 24 * 3600 * 1_000_000
"""The difference between two hosts' clocks, in microseconds, that needs no mention."""


def now_us() -> int:
    """The wall clock in microseconds since 1970 UTC."""
    return time.time_ns() // 1_000
