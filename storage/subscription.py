"""A live subscription on a log by polling, without a thread of its own.

SQLite does not notify of another process's commit; checking takes 5 µs, so we check every 20 ms.
Commits of this process wake the waiting subscriptions at once.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final
from weakref import WeakValueDictionary

from eventsourcing.persistence import Notification, Subscription

from runlore.storage.event_log import EventLog

_POLL_INTERVAL_S: Final = 0.02
_PAGE: Final = 500

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

    def wait(self, at_most_s: float = _POLL_INTERVAL_S) -> None:
        """Return when this process has committed something, or when it is time to poll."""
        self._bell.wait(min(at_most_s, _POLL_INTERVAL_S))

    def ring(self) -> None:
        """End a wait, from any thread."""
        self._bell.set()

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


class PollingSubscription(Subscription[EventLog]):
    """Yields notifications after `gt`, in order; blocks at the end of the log until `stop()`."""

    def __init__(self, recorder: EventLog, gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(recorder, gt, topics)
        self._page: deque[Notification] = deque()
        self._waker = Waker()

    def __next__(self) -> Notification:
        while not self._has_been_stopped:
            if self._page:
                return self._page.popleft()
            self._waker.clear()
            self._pull()
            if not self._page:
                self._waker.wait()
        raise StopIteration

    def stop(self) -> None:
        """End the iteration, from any thread."""
        super().stop()
        self._waker.ring()

    def _pull(self) -> None:
        last = self._last_notification_id or 0
        newest = self._recorder.max_notification_id() or 0
        if newest <= last:
            return
        notifications = self._recorder.select_notifications(
            start=last, limit=_PAGE, stop=newest, topics=self._topics, inclusive_of_start=False
        )
        self._page.extend(notifications)
        # A page that is not full reached the end, so events of other topics are not read again.
        self._last_notification_id = notifications[-1].id if len(notifications) == _PAGE else newest


def _alive() -> list[Waker]:
    return [alive for ref in _waiting.valuerefs() if (alive := ref()) is not None]


os.register_at_fork(after_in_child=Waker.renew_all)
