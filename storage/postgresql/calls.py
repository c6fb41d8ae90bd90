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
        if not events:
            return ()
        # Column by column: each step takes less time than in a loop over events.
        streams, versions, topics, states, ids, *_ = zip(*events, strict=True)
        count = len(events)
        places = range(self.first_position, self.first_position + count)
        metas = [self.metas[number - 1] for number in sent.meta_of]
        ends = range(HASH_NBYTES, len(self.leaves) + 1, HASH_NBYTES)
        leaves = [self.leaves[end - HASH_NBYTES : end] for end in ends]
        at = [self.at] * count
        columns = places, streams, versions, topics, states, ids, at, metas, leaves
        return tuple(map(StoredRow._make, zip(*columns, strict=True)))


def sent(events: Sequence[NewEvent]) -> Sent:
    """Events on their way to the server."""
    columns: Sequence[Sequence[Any]] = list(zip(*events, strict=True)) if events else [()] * 7
    streams, versions, topics, states, ids, metadata, log_versions = columns
    held = {id(one): one for one in metadata}  # By identity: a call's events mostly share one dict.
    metas = list(map(msgpack.packb, held.values()))
    numbers = {key: number for number, key in enumerate(held, 1)}
    meta_of = [numbers[id(one)] for one in metadata]
    arrays = [texts(streams), longs(versions), texts(topics), blobs(states), blobs(ids)]
    packed = [*arrays, blobs(metas), ints(meta_of)]
    return Sent(packed, meta_of, max(log_versions, default=1))


def sent_foreign(events: Sequence[ForeignEvent]) -> Sent:
    """Events of another application, which have neither ids nor metadata."""
    streams, versions, topics, states = zip(*events, strict=True) if events else [()] * 4
    arrays = [texts(streams), longs(versions), texts(topics), blobs(states), nulls(len(events))]
    return Sent([*arrays, blobs([]), ints([])], [], 1)
