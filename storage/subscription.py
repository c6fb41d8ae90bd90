"""A live subscription on a log by polling, without a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from eventsourcing.persistence import ApplicationRecorder, Notification, Subscription

from runlore.storage.waker import Waker

_PAGE: Final = 500


class PollingSubscription(Subscription[ApplicationRecorder]):
    """Yields notifications after `gt`, in order; blocks at the end of the log until `stop()`."""

    def __init__(
        self,
        recorder: ApplicationRecorder,
        gt: int | None,
        topics: Sequence[str],
        waker: Waker,
    ) -> None:
        super().__init__(recorder, gt, topics)
        self._page: deque[Notification] = deque()
        self._waker = waker

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
        self._waker.end()

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
