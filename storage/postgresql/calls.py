"""What a call of the server's function `append` is given, and what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgpack

from runlore.storage.event_log import Drained, ForeignEvent, NewEvent, StoredRow
from runlore.storage.merkle import HASH_NBYTES
from runlore.storage.postgresql.arrays import Packed, blobs, ints, longs, nulls, texts

APPEND: Final = """
    SELECT * FROM @schema@.append(
        %b, %b, %b, %b, %b, %b, %b,
        %b::int, %b::int, %b::text, %b::bigint, %b::bigint, %b::int)
"""


class Sent(NamedTuple):
    """Events as arrays, and for each the number of its metadata, which is sent once, from 1."""

    arrays: list[Packed]
    meta_of: list[int]
    version: int

    def params(self, known_version: int, drained: Drained | None, wait_ms: int) -> list[Any]:
        """The parameters of `APPEND`."""
        mark = drained or (None, None, None)
        return [*self.arrays, self.version, known_version, *mark, wait_ms]


class Reply(NamedTuple):
    """What `append` returns: `at` is the time at which the events are recorded, `now` the server's.

    `head_at` is the head's time before. `leaves` are hashes in a row.
    """

    first_position: int
    at: int
    now: int
    head_at: int
    metas: list[bytes]
    leaves: bytes

    def rows(self, events: Sequence[NewEvent], sent: Sent) -> tuple[StoredRow, ...]:
        """The events as they are stored now."""
        places = range(self.first_position, self.first_position + len(events))
        leaves = (
            self.leaves[start : start + HASH_NBYTES]
            for start in range(0, len(self.leaves), HASH_NBYTES)
        )
        return tuple(
            StoredRow(place, *event[:5], self.at, self.metas[number - 1], leaf)
            for place, event, number, leaf in zip(places, events, sent.meta_of, leaves, strict=True)
        )


def sent(events: Sequence[NewEvent]) -> Sent:
    """Events on their way to the server."""
    numbers: dict[int, int] = {}  # By identity: a call's events mostly share one dict.
    metas: list[bytes] = []
    meta_of = []
    version = 1
    for event in events:
        number = numbers.get(id(event.metadata))
        if number is None:
            metas.append(msgpack.packb(event.metadata))
            number = numbers[id(event.metadata)] = len(metas)
        meta_of.append(number)
        version = max(version, event.log_version)
    streams, versions, topics, states, ids, *_ = zip(*events, strict=True) if events else [()] * 5
    arrays = [texts(streams), longs(versions), texts(topics), blobs(states), blobs(ids)]
    return Sent([*arrays, blobs(metas), ints(meta_of)], meta_of, version)


def sent_foreign(events: Sequence[ForeignEvent]) -> Sent:
    """Events of another application, which have neither ids nor metadata."""
    streams, versions, topics, states = zip(*events, strict=True) if events else [()] * 4
    arrays = [texts(streams), longs(versions), texts(topics), blobs(states), nulls(len(events))]
    return Sent([*arrays, blobs([]), ints([])], [], 1)
