"""Helpers for tests of logs: events to append, a clock to set, and the head computed anew."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from runlore.storage.event_log import EventLog, NewEvent, StoredRow
from runlore.storage.log_head import LogHead
from runlore.storage.log_query import LogQuery
from runlore.storage.merkle import Frontier
from runlore.storage.stamp import leaf_of

NOON: Final = 1_700_000_000_000_000


class Clock:
    """A clock that stands still until `now` is set; µs since 1970."""

    def __init__(self, now: int = NOON) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def new_event(
    stream: str = "run/r", version: int = 1, topic: str = "run.started", state: bytes = b"\x80"
) -> NewEvent:
    """An event that was never appended."""
    return NewEvent(stream, version, topic, state, os.urandom(16), {"writer": "w"})


def new_events(stream: str, versions: Iterable[int]) -> list[NewEvent]:
    """Events of one stream that were never appended."""
    return [new_event(stream, version) for version in versions]


def asking_for(log_version: int, stream: str = "run/r", version: int = 1) -> NewEvent:
    """An event that a runlore which does not know this version of logs must not pass over."""
    return new_event(stream, version)._replace(log_version=log_version)


def all_rows(log: EventLog) -> list[StoredRow]:
    """All rows of the log."""
    return list(log.read_log(LogQuery()))


def check_head(log: EventLog, settled_until: int = -1) -> LogHead:
    """The log's head; fails unless it equals the one computed from the columns of all rows.

    `settled_until` is the latest time that was settled.
    """
    rows = all_rows(log.as_stored())
    assert [row.leaf for row in rows] == [leaf_of(row) for row in rows]
    last = rows[-1] if rows else None
    computed = LogHead(
        last.position if last else 0,
        max(last.recorded_at if last else 0, settled_until + 1),
        Frontier().extended(row.leaf for row in rows),
    )
    assert log.head() == computed
    return computed
