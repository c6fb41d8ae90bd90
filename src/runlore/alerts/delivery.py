"""Delivering an alert until it has arrived: with pauses between the attempts, and an end."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from runlore.alerts.alert import Alert
from runlore.domain.errors import RunloreError

_PAUSE_MAX_S: Final = 300.0


class Channel(Protocol):
    """A way to deliver alerts; `name` says where to, without secrets."""

    name: str

    def deliver(self, alert: Alert) -> None:
        """Return once the alert has arrived. Raises DeliveryFailed."""


class DeliveryFailed(Exception):
    """An attempt that failed; `is_final` if another one would fail as well.

    `wait_s` is how long the receiver asks to wait, if it does.
    """

    def __init__(self, problem: str, *, is_final: bool = False, wait_s: float | None = None):
        super().__init__(problem)
        self.is_final = is_final
        self.wait_s = wait_s


class Undelivered(RunloreError):
    """An alert could not be delivered; the next `runlore alert` delivers it first."""

    def __init__(self, alert: Alert, channel: str, problem: object) -> None:
        super().__init__(
            f"an alert was not delivered to {channel}: {problem}. Start `runlore alert` again to "
            f"deliver it and those after it, or with --after {alert.position} to pass over it"
        )
        self.alert = alert


class Patience(NamedTuple):
    """For how long an alert is tried, and the pauses in between, which double each time."""

    retry_for_s: float = 3600.0
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0


def deliver(
    alert: Alert,
    channel: Channel,
    patience: Patience,
    say: Callable[[str], None],
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Deliver an alert; `say` tells each failure. Raises Undelivered when the patience is over."""
    give_up_at = time.monotonic() + patience.retry_for_s
    pause_s = patience.first_pause_s
    while True:
        try:
            return channel.deliver(alert)
        except DeliveryFailed as failed:
            left_s = give_up_at - time.monotonic()
            if failed.is_final or left_s <= 0:
                raise Undelivered(alert, channel.name, failed) from failed
            wait_s = pause_s * random.uniform(0.75, 1.25)  # Watches must not knock in step.
            wait_s = min(max(wait_s, failed.wait_s or 0.0), _PAUSE_MAX_S, left_s)
            say(f"{channel.name}: {failed}; next attempt in {wait_s:.3g} s")
        sleep(wait_s)
        pause_s = min(2 * pause_s, patience.longest_pause_s)
