"""Events to append become rows: positions, times, metadata and leaves. Pure, shared by all logs."""

from __future__ import annotations

from collections.abc import Sequence
from struct import error as StructError
from typing import Final, NamedTuple

import msgpack

from runlore.domain.errors import MomentInFuture
from runlore.domain.fact import TIME_END
from runlore.storage.as_of_times import OBSERVED_AT, extra_times, time_in
from runlore.storage.clock import SKEW_US
from runlore.storage.errors import LogCorrupt
from runlore.storage.event_log import EventLog, NewEvent, StoredRow
from runlore.storage.log_head import LogHead
from runlore.storage.log_query import LogQuery
from runlore.storage.merkle import leaf_hash


class Stamped(NamedTuple):
    """Rows to store, the head after them, and the time from which on they count.

    `as_of` differs from the head's time only where the writer's clock was behind it: see
    `runlore.storage.as_of_times`.
    """

    rows: tuple[StoredRow, ...]
    head: LogHead
    as_of: int


def stamp(events: Sequence[NewEvent], head: LogHead, now: int, settled_until: int) -> Stamped:
    """The rows of events that follow `head`, when the writer's clock says `now` (µs).

    All are recorded at max(`now`, the head's time), and observed now, unless an event brings the
    time at which it happened. `settled_until` is the latest time that was settled; it does not
    matter while `now` is at or after the head's time. Call it under the log's write lock. Raises
    LogCorrupt if the head's time is none that an event can have.
    """
    now = _sane(now)
    if not 0 <= head.recorded_at < TIME_END:
        raise LogCorrupt(
            f"the log's head says {head.recorded_at} µs after 1970, where no event can follow; run "
            "`runlore audit verify`, and restore the log from a copy"
        )
    recorded_at = max(now, head.recorded_at)
    as_of = max(now, settled_until + 1) if now < recorded_at else recorded_at
    packed: dict[int, bytes] = {}  # By identity: a call's events mostly share one dict.
    rows = []
    for position, event in enumerate(events, head.position + 1):
        metadata = packed.get(id(event.metadata))
        if metadata is None:
            fields = event.metadata
            if now != recorded_at or OBSERVED_AT in fields:
                observed_at = _sane(fields.get(OBSERVED_AT, now))
                fields = {**fields, **extra_times(observed_at, recorded_at, as_of)}
            metadata = packed[id(event.metadata)] = msgpack.packb(fields)
        stream, version, topic, state, event_id, *_ = event
        leaf = leaf_hash(position, stream, version, topic, event_id, recorded_at, metadata, state)
        rows.append(
            StoredRow(
                position, stream, version, topic, state, event_id, recorded_at, metadata, leaf
            )
        )
    return Stamped(tuple(rows), _advanced(head, rows, recorded_at), as_of)


def stamp_foreign(
    events: Sequence[tuple[str, int, str, bytes]], head: LogHead, now: int
) -> Stamped:
    """`stamp` for (stream, version, topic, state) of another application: no id, no metadata.

    So they count from the time on at which they are recorded.
    """
    recorded_at = max(_sane(now), head.recorded_at)
    rows = [
        StoredRow(
            position,
            *event,
            None,
            recorded_at,
            None,
            leaf_hash(position, *event[:3], None, recorded_at, None, event[3]),
        )
        for position, event in enumerate(events, head.position + 1)
    ]
    return Stamped(tuple(rows), _advanced(head, rows, recorded_at), recorded_at)


UNHASHABLE: Final = (AttributeError, TypeError, StructError, UnicodeEncodeError)
"""What `leaf_of` raises for columns of types that no append stores."""


def leaf_of(row: StoredRow) -> bytes:
    """The leaf that a row's columns should have."""
    return leaf_hash(*row[:4], *row[5:8], row.state)


def leaf_at(log: EventLog, position: int) -> bytes | None:
    """The leaf that the event at a position should have, computed from its columns.

    None if there is no event, or one with columns of types that no append stores.
    """
    rows = log.as_stored().read_log(LogQuery.at(position))
    try:
        return leaf_of(rows[0]) if rows else None
    except UNHASHABLE:
        return None


def observed_at(row: StoredRow) -> int:
    """What the clock of the event's writer said."""
    return time_in(row.metadata, OBSERVED_AT, row.recorded_at)


def check_passed(time: int, now: int, head: LogHead) -> None:
    """Raise MomentInFuture unless a clock has reached the time: this host's, or a recorded one.

    A time before the head's has passed as well, but not if it is more than a day from now here:
    the head's may be of a clock that was far ahead, and a settled time binds all writers.
    """
    if time > now and (time >= head.recorded_at or time > now + SKEW_US):
        raise MomentInFuture(time, now)


def _sane(now: int) -> int:
    """A clock's time within the times that can be shown."""
    return min(max(now, 0), TIME_END - 1)


def _advanced(head: LogHead, rows: Sequence[StoredRow], recorded_at: int) -> LogHead:
    if not rows:
        return head
    return LogHead(rows[-1].position, recorded_at, head.frontier.extended(row.leaf for row in rows))
