"""A live subscription on a log by polling, without a thread of its own.

SQLite tells nobody of another process's commit; looking for it costs 5 µs, so we look every
20 ms. Commits of this process wake the waiting subscriptions at once.
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
    """Ends the waits of one reader at the end of a log when something may have been committed."""

    def __init__(self) -> None:
        self._bell = threading.Event()
        _waiting[id(self)] = self

    def clear(self) -> None:
        """To be called before the log is looked at: what is committed from here on rings."""
        self._bell.clear()

    def wait(self, at_most_s: float = _POLL_INTERVAL_S) -> None:
        """Returns when this process has committed something, or it is time to look by oneself."""
        self._bell.wait(min(at_most_s, _POLL_INTERVAL_S))

    def ring(self) -> None:
        """Ends a wait, from any thread."""
        self._bell.set()

    @staticmethod
    def ring_all() -> None:
        """Tells the readers of this process that something was committed."""
        for waker in _alive():
            waker.ring()

    @staticmethod
    def renew_all() -> None:
        """In a forked child: a thread of the parent may have held an event's lock."""
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
        """Ends the iteration, from any thread."""
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
        # A page that is not full has seen everything, so other topics are not read again.
        self._last_notification_id = notifications[-1].id if len(notifications) == _PAGE else newest


def _alive() -> list[Waker]:
    return [alive for ref in _waiting.valuerefs() if (alive := ref()) is not None]


os.register_at_fork(after_in_child=Waker.renew_all)
