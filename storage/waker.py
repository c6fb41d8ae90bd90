"""What wakes the readers that wait at the end of a log.

SQLite does not notify of another process's commit; checking takes 5 µs, so they look every 20 ms.
Commits of this process wake them at once.
"""

from __future__ import annotations

import os
import threading
from typing import Final
from weakref import WeakValueDictionary

POLL_INTERVAL_S: Final = 0.02

# Not a WeakSet: iterating one fails when another thread adds to it.
_waiting: WeakValueDictionary[int, Waker] = WeakValueDictionary()


class Waker:
    """Wakes one reader that waits at the end of a log when something may have been committed."""

    def __init__(self) -> None:
        self._bell = threading.Event()
        _waiting[id(self)] = self

    def clear(self) -> None:
        """Call before reading the log: any commit from here on wakes the reader."""
        self._bell.clear()

    def wait(self, at_most_s: float = POLL_INTERVAL_S) -> None:
        """Return when this process has committed something, or when it is time to poll."""
        self._bell.wait(min(at_most_s, POLL_INTERVAL_S))

    def ring(self) -> None:
        """End a wait, from any thread."""
        self._bell.set()

    def end(self) -> None:
        """End all waits: nobody will wait with it any more."""
        self.ring()

    @staticmethod
    def ring_all() -> None:
        """Wake all waiting readers of this process: something was committed."""
        for waker in _alive():
            waker.ring()

    @staticmethod
    def renew_all() -> None:
        """In a forked child: replace events whose lock a thread of the parent may have held."""
        for waker in _alive():
            waker._bell = threading.Event()


def _alive() -> list[Waker]:
    return [alive for ref in _waiting.valuerefs() if (alive := ref()) is not None]


os.register_at_fork(after_in_child=Waker.renew_all)
