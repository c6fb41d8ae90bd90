"""The log in memory, for offline runs and tests: the same contract without the disk."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from runlore.domain.events import LOG_VERSION
from runlore.storage import fork_guard, interruptions
from runlore.storage.as_of_times import NEVER_SETTLED, Steps
from runlore.storage.clock import Clock, now_us
from runlore.storage.clock_watch import ClockWatch
from runlore.storage.errors import LogTooNew, VersionConflict
from runlore.storage.event_log import (
    Drained,
    DrainedMark,
    EventLog,
    ForeignEvent,
    NewEvent,
    ReadStream,
    StoredRow,
)
from runlore.storage.interruptions import AFTERWARDS
from runlore.storage.log_head import LogHead
from runlore.storage.log_query import LogQuery
from runlore.storage.stamp import Stamped, check_passed, observed_at, stamp, stamp_foreign
from runlore.storage.waker import Waker


class MemoryLog(EventLog):
    """`EventLog` in this process's memory; a forked child continues with a copy of its own."""

    fork_order = fork_guard.ForkOrder.LOG

    def __init__(self, *, clock: Clock = now_us, known_version: int = LOG_VERSION) -> None:
        self.known_version = known_version
        self._version = 1
        self._clock = clock
        self._lock = interruptions.new_lock(self)
        self._rows: list[StoredRow] = []
        self._streams: dict[str, dict[int, StoredRow]] = {}
        self._drained: dict[str, DrainedMark] = {}
        self._head = LogHead()
        self._steps = Steps()
        self._settled_until = NEVER_SETTLED
        self._watch = ClockWatch()
        fork_guard.guard(self)

    # --- EventLog ---------------------------------------------------------------------

    @property
    def version(self) -> int:
        return self._version

    def append(
        self, events: Sequence[NewEvent], *, drained: Drained | None = None
    ) -> tuple[StoredRow, ...]:
        with AFTERWARDS, self._lock:
            stored = tuple(
                row
                for event in events
                if (row := self._streams.get(event.stream, {}).get(event.version))
                and row.event_id == event.event_id
            )
            if events and len(stored) == len(events):
                return stored
            self._check_version()
            now = self._clock()
            last = self._rows[-1] if self._rows else None
            self._watch.check(now, self._head.recorded_at, lambda: last and observed_at(last))
            stamped = stamp(events, self._head, now, self._settled_until)
            self._keep(stamped)
            self._version = max([self._version, *[event.log_version for event in events]])
            if drained is not None:
                mark = DrainedMark(drained.lap, drained.slot, self._head.position)
                self._drained[drained.writer_id] = mark
            return stamped.rows

    def append_decided(
        self,
        decide: Callable[[ReadStream], Sequence[NewEvent]],
        *,
        drained: Drained | None = None,
    ) -> tuple[StoredRow, ...]:
        with AFTERWARDS, self._lock:
            self._check_version()
            return self.append(decide(self.read_stream), drained=drained)

    def append_foreign(self, events: Sequence[ForeignEvent]) -> Sequence[int]:
        with AFTERWARDS, self._lock:
            self._check_version()
            stamped = stamp_foreign(events, self._head, self._clock())
            self._keep(stamped)
        return [row.position for row in stamped.rows]

    def drained_marks(self) -> Mapping[str, DrainedMark]:
        with AFTERWARDS, self._lock:
            return dict(self._drained)

    def read_stream(
        self, stream: str, *, after_version: int = 0, upto_position: int | None = None
    ) -> Sequence[StoredRow]:
        with AFTERWARDS, self._lock:
            return [
                row
                for version, row in sorted(self._streams.get(stream, {}).items())
                if version > after_version
                and (upto_position is None or row.position <= upto_position)
            ]

    def read_log(self, query: LogQuery) -> Sequence[StoredRow]:
        with AFTERWARDS, self._lock:
            start = bisect_right(self._rows, query.after_position, key=_position)
            stop = len(self._rows)
            if query.upto_position is not None:
                stop = bisect_right(self._rows, query.upto_position, key=_position)
            if not query.all_streams:
                first, last = query.after_position, query.upto_position
                found = sorted(
                    row
                    for stream, rows in self._streams.items()
                    if query.takes(stream)
                    for row in rows.values()
                    if row.position > first and (last is None or row.position <= last)
                )
            elif query.topics or query.limit is None:
                found = self._rows[start:stop]
            else:
                return self._rows[start : min(stop, start + query.limit)]
        if not query.topics:
            return found[: query.limit]
        return list(islice((row for row in found if row.topic in query.topics), query.limit))

    def head(self) -> LogHead:
        return self._head

    def position_at(self, time: int) -> int:
        with AFTERWARDS, self._lock:
            before = bisect_right(self._rows, time, key=lambda row: row.recorded_at)
            recorded = self._rows[before - 1].position if before else 0
            return max(recorded, self._steps.last(time))

    def settle(self, time: int) -> None:
        with AFTERWARDS, self._lock:
            if time <= self._settled_until:
                return
            self._check_version()
            check_passed(time, self._clock(), self._head)
            self._settled_until = time
            recorded_at = max(self._head.recorded_at, time + 1)
            self._head = self._head._replace(recorded_at=recorded_at)

    def close(self) -> None:
        """Does nothing: the log lives as long as the object."""

    # --- forks ----------------------------------------------------------------------------

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = interruptions.new_lock(self)

    # --- shared -------------------------------------------------------------------------

    def _check_version(self) -> None:
        if self._version > self.known_version:
            raise LogTooNew("in memory", self._version, self.known_version)

    def _keep(self, stamped: Stamped) -> None:
        rows = stamped.rows
        fresh = {(row.stream, row.version) for row in rows}
        taken = any(row.version in self._streams.get(row.stream, {}) for row in rows)
        if taken or len(fresh) < len(rows):
            raise VersionConflict(
                f"another event holds one of the versions from {rows[0].stream} "
                f"{rows[0].version} on; read the stream again and decide again"
            )
        self._rows.extend(rows)
        for row in rows:
            self._streams.setdefault(row.stream, {})[row.version] = row
        self._head = stamped.head
        if rows and stamped.as_of < stamped.head.recorded_at:
            self._steps.add(stamped.as_of, stamped.head.position)
        Waker.ring_all()


def _position(row: StoredRow) -> int:
    return row.position
