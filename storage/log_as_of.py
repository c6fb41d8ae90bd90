"""A log as it was when it ended at a position: a bound on everything that is read through it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn

from runlore.domain.errors import PastIsReadOnly
from runlore.storage.event_log import (
    Drained,
    DrainedMark,
    EventLog,
    ForeignEvent,
    NewEvent,
    ReadStream,
    StoredRow,
)
from runlore.storage.log_head import LogHead
from runlore.storage.log_query import LogQuery

_PAGE: Final = 10_000


class LogAsOf(EventLog):
    """Another log up to and including a position. Appending raises PastIsReadOnly.

    `close()` leaves the other log open.
    """

    def __init__(self, log: EventLog, position: int) -> None:
        self._log = log
        self.position = position

    # --- EventLog ---------------------------------------------------------------------

    @property
    def version(self) -> int:
        """The other log's version now."""
        return self._log.version

    def append(
        self, events: Sequence[NewEvent], *, drained: Drained | None = None
    ) -> tuple[StoredRow, ...]:
        self._refuse()

    def append_decided(
        self,
        decide: Callable[[ReadStream], Sequence[NewEvent]],
        *,
        drained: Drained | None = None,
    ) -> tuple[StoredRow, ...]:
        self._refuse()

    def append_all(self, events: Callable[[], Iterable[NewEvent]]) -> None:
        self._refuse()

    def append_foreign(self, events: Sequence[ForeignEvent]) -> Sequence[int]:
        self._refuse()

    def drained_marks(self) -> Mapping[str, DrainedMark]:
        """Empty: earlier marks are not kept."""
        return {}

    def read_stream(
        self, stream: str, *, after_version: int = 0, upto_position: int | None = None
    ) -> Sequence[StoredRow]:
        return self._log.read_stream(
            stream, after_version=after_version, upto_position=self._bound(upto_position)
        )

    def read_log(self, query: LogQuery) -> Sequence[StoredRow]:
        return self._log.read_log(query.within(self.position))

    def read_plain(self, query: LogQuery) -> Sequence[tuple[Any, ...]]:
        return self._log.read_plain(query.within(self.position))

    def read_leaves(self, query: LogQuery) -> Sequence[bytes]:
        return self._log.read_leaves(query.within(self.position))

    def positions_of(self, query: LogQuery) -> Sequence[int]:
        return self._log.positions_of(query.within(self.position))

    def count_events(self, query: LogQuery) -> int:
        return self._log.count_events(query.within(self.position))

    def count_created(self, experiment_id: str, *, upto_position: int) -> int | None:
        return self._log.count_created(experiment_id, upto_position=self._bound(upto_position))

    def as_stored(self) -> EventLog:
        return LogAsOf(self._log.as_stored(), self.position)

    @property
    def erasable(self) -> bool:
        return self._log.erasable

    def key_of(self, run_id: str) -> bytes | None:
        """The key that the run has now."""
        return self._log.key_of(run_id)

    def last_erasure(self) -> int:
        """The other log's: erased runs are gone from the past as well."""
        return self._log.last_erasure()

    def head(self) -> LogHead:
        """The head as it was, computed from all leaves; its time is that of the last event."""
        head = LogHead()
        while rows := self.read_log(LogQuery(after_position=head.position, limit=_PAGE)):
            frontier = head.frontier.extended(row.leaf for row in rows)
            head = LogHead(rows[-1].position, rows[-1].recorded_at, frontier)
        return head

    def last_position(self) -> int:
        return self.position

    def synced_head(self) -> LogHead:
        """Refused: it is for signing, and only the present log is signed."""
        self._refuse()

    def position_at(self, time: int) -> int:
        """The other log's, within this one: later events may say that earlier ones count."""
        return min(self.position, self._log.position_at(time))

    def settle(self, time: int) -> None:
        self._log.settle(time)

    def close(self) -> None:
        """Does nothing: the other log is closed by its owner."""

    # --- inside -------------------------------------------------------------------------

    def _bound(self, upto_position: int | None) -> int:
        return self.position if upto_position is None else min(upto_position, self.position)

    def _refuse(self) -> NoReturn:
        raise PastIsReadOnly(self.position)
