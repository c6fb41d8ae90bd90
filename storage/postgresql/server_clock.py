"""The server's clock as this machine knows it, whatever its own clock says or does meanwhile."""

from __future__ import annotations

import time
from typing import Final

from runlore.storage.clock import now_us

# On Linux it goes on while the machine sleeps.
_SINCE: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class ServerClock:
    """The server's time, as it was told last and has gone on since; before, this machine's."""

    def __init__(self) -> None:
        self._told: tuple[int, int] | None = None

    def tell(self, server_us: int) -> None:
        """The server has just said its time (µs since 1970 UTC)."""
        self._told = server_us, _boot_us()

    def now_us(self) -> int:
        """The time in µs since 1970 UTC, too early by as long as the answer took to come."""
        if self._told is None:
            return now_us()
        server_us, at_us = self._told
        return server_us + _boot_us() - at_us


def _boot_us() -> int:
    return time.clock_gettime_ns(_SINCE) // 1_000
