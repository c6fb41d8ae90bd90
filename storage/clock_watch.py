"""A warning where a writer's clock and that of the log's last event differ too much."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Final

from runlore.domain.fact import utc_time
from runlore.storage.clock import SKEW_US

_REST_US: Final = 8 * 366 * SKEW_US


class ClockWatch:
    """Warns once per process if its clock is more than a day behind that of the last event.

    If it is ahead, the workspace may just have rested, so that must be by more than eight years.
    """

    def __init__(self) -> None:
        self._warned: int | None = None

    def check(self, now: int, recorded_at: int, last_observed: Callable[[], int | None]) -> None:
        """Compare a clock with the head's time, and if they differ, with the last event's clock.

        Times are µs since 1970 UTC; `last_observed` gives None if there is no event.
        """
        if _alike(now, recorded_at) or self._warned == os.getpid():
            return
        observed_at = last_observed()
        if observed_at is None or _alike(now, observed_at):
            return
        self._warned = os.getpid()
        side = "behind" if now < observed_at else "ahead of"
        rested = "" if now < observed_at else ", unless nobody used the workspace in between"
        days = abs(now - observed_at) // SKEW_US
        warnings.warn(
            f"this machine's clock says {utc_time(now).isoformat()}, {days:,} days {side} the "
            f"clock that the last event was recorded by ({utc_time(observed_at).isoformat()}): one "
            f"of the two is wrong{rested}. Events are recorded all the same, and their times are "
            "shown as each clock has them; correct the clock that is wrong",
            RuntimeWarning,
            stacklevel=2,
        )


def _alike(now: int, other: int) -> bool:
    return -_REST_US < other - now < SKEW_US
