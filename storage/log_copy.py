"""Copying a log, event by event, into one that may hold the beginning of it already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from runlore.domain.errors import AlreadyExists
from runlore.storage.errors import LogCorrupt
from runlore.storage.event_log import EventLog
from runlore.storage.fence import Fence
from runlore.storage.log_query import LogQuery
from runlore.storage.merkle import Frontier
from runlore.storage.movable_log import MovableLog
from runlore.storage.seal import NO_KEY

_BATCH_SIZE: Final = 1_000
_LEAVES: Final = 20_000

Progress = Callable[[int, int], object]
"""Called with the number of events that are copied, and of all."""


def holds_all(target: MovableLog, source: EventLog) -> bool:
    """Whether the target is a complete copy, which may have gone on since."""
    head = source.head()
    if target.fence() is not None or not head.size:
        return False
    return frontier_of(target, head.size) == head.frontier


def begin_copy(source: EventLog, target: MovableLog, *, uri: str, name: str) -> None:
    """Fence a target that is empty, or see whether it holds the beginning of the source.

    `uri` is the source's, and `name` the target's, for people. Raises AlreadyExists for a target
    that is in use, or that holds something else.
    """
    head, fence = target.head(), target.fence()
    if fence is not None and fence.place != uri:
        raise AlreadyExists(
            f"{name} holds a workspace that is {fence.kind} {fence.place}; choose a new place"
        )
    if fence is None:
        if head.size:
            raise AlreadyExists(f"{name} holds a workspace already; choose a new place")
        target.put_up(Fence("copied from", uri, 1), at=0)
    elif frontier_of(source, head.size) != head.frontier:
        raise AlreadyExists(
            f"{name} holds {head.size:,} events that are not the first ones of {uri}; choose a new "
            "place"
        )


def copy_events(source: EventLog, target: MovableLog, progress: Progress | None = None) -> int:
    """Copy what the target lacks; returns the source's last position, up to which both are equal.

    Raises LogCorrupt for an event that does not fit its leaf, or if the heads differ at the end.
    """
    stored = source.as_stored()  # Sealed events stay sealed.
    head = source.head()
    after = target.last_position()
    while after < head.position:
        query = LogQuery(after_position=after, upto_position=head.position, limit=_BATCH_SIZE)
        rows = stored.read_log(query)
        if not rows:
            break
        target.adopt(rows)
        after = rows[-1].position
        if progress is not None:
            progress(after, head.position)
    if target.head().frontier != head.frontier:
        raise LogCorrupt(
            f"the copy has {target.head().size:,} events and the original {head.size:,}, or they "
            "have another root; run `runlore audit verify` on the original"
        )
    return head.position


def hand_over_keys(source: MovableLog, target: MovableLog) -> None:
    """Move the keys of all runs into a copy that is complete; nobody may write to either log.

    The original has none from then on. Idempotent. Raises LogCorrupt if an earlier move handed over
    keys that the copy does not have.
    """
    keys, erased = source.keys(), source.erased_runs()
    gone = [run for run, key in keys.items() if key == NO_KEY and run not in erased]
    if not gone:
        target.take_keys(keys)
        source.give_up_keys()
        return
    held = target.keys()
    lost = [run for run in gone if held.get(run, NO_KEY) == NO_KEY]
    if lost:
        raise LogCorrupt(
            f"the keys of {len(lost):,} runs were moved into an earlier copy, which was removed or "
            "replaced: what is left of them cannot be read; restore that copy, or a backup of the "
            "original"
        )


def frontier_of(log: EventLog, size: int) -> Frontier | None:
    """The frontier of the log's first events; None if there are not this many."""
    frontier = Frontier()
    while frontier.size < size:
        limit = min(_LEAVES, size - frontier.size)
        leaves = log.read_leaves(LogQuery(after_position=frontier.size, limit=limit))
        if not leaves:
            return None
        frontier = frontier.extended(leaves)
    return frontier
