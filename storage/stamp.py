"""Events to append become rows: positions, times, metadata and leaves. Pure, shared by all logs."""

from __future__ import annotations

from collections.abc import Sequence
from struct import error as StructError

import msgpack

from runlore.domain.errors import MomentInFuture
from runlore.domain.fact import TIME_END
from runlore.storage.event_log import EventLog, NewEvent, StoredRow
from runlore.storage.log_head import LogHead
from runlore.storage.log_query import LogQuery
from runlore.storage.merkle import leaf_hash


def stamp(
    events: Sequence[NewEvent], head: LogHead, now: int
) -> tuple[tuple[StoredRow, ...], LogHead]:
    """The rows of events that follow `head`, and the head after them.

    All are recorded at max(`now`, the head's time), in µs; if that is not `now`, the metadata keeps
    the writer's clock as `observed_at`, unless the event brings one. Call it under the log's write
    lock.
    """
    now = min(max(now, 0), TIME_END - 1)
    recorded_at = max(now, head.recorded_at)
    packed: dict[int, bytes] = {}  # By identity: a call's events mostly share one dict.
    rows = []
    for position, event in enumerate(events, head.position + 1):
        metadata = packed.get(id(event.metadata))
        if metadata is None:
            fields = event.metadata
            if recorded_at != now and "observed_at" not in fields:
                fields = {**fields, "observed_at": now}
            metadata = packed[id(event.metadata)] = msgpack.packb(fields)
        stream, version, topic, state, event_id, *_ = event
        leaf = leaf_hash(position, stream, version, topic, event_id, recorded_at, metadata, state)
        rows.append(
            StoredRow(
                position, stream, version, topic, state, event_id, recorded_at, metadata, leaf
            )
        )
    return tuple(rows), _advanced(head, rows, recorded_at)


def stamp_foreign(
    events: Sequence[tuple[str, int, str, bytes]], head: LogHead, now: int
) -> tuple[tuple[StoredRow, ...], LogHead]:
    """`stamp` for (stream, version, topic, state) of another application: no id, no metadata."""
    recorded_at = max(now, head.recorded_at)
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
    return tuple(rows), _advanced(head, rows, recorded_at)


def leaf_of(row: StoredRow) -> bytes:
    """The leaf that a row's columns should have."""
    return leaf_hash(*row[:4], *row[5:8], row.state)


def leaf_at(log: EventLog, position: int) -> bytes | None:
    """The leaf that the event at a position should have, computed from its columns.

    None if there is no event, or one with columns of types that no append stores.
    """
    rows = log.as_stored().read_log(LogQuery.at(position))
    try:
        return leaf_of(rows[0]) if rows and rows[0].position == position else None
    except (AttributeError, TypeError, StructError, UnicodeEncodeError):
        return None


def check_passed(recorded_at: int, now: int) -> None:
    """Raise MomentInFuture unless the clock has reached the time."""
    if recorded_at > now:
        raise MomentInFuture(recorded_at, now)


def _advanced(head: LogHead, rows: Sequence[StoredRow], recorded_at: int) -> LogHead:
    if not rows:
        return head
    return LogHead(rows[-1].position, recorded_at, head.frontier.extended(row.leaf for row in rows))
