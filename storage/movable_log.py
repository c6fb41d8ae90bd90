"""The contract of logs that move from one place to another, events and all unchanged.

A log that is copied, and one that was moved, are fenced: nobody may write to it. The log's version
is then above all that runlores know, and each writer looks at the version in the transaction of its
events. So a writer that goes on in the original meanwhile either comes before the fence, and is
copied, or is refused.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from runlore.storage.as_of_times import AS_OF, time_in
from runlore.storage.errors import LogCorrupt
from runlore.storage.event_log import DrainedMark, EventLog, StoredRow
from runlore.storage.fence import Fence
from runlore.storage.log_head import LogHead
from runlore.storage.stamp import UNHASHABLE, leaf_of


class Beside(NamedTuple):
    """What a log has beside its events: the head's time, its version, and what was settled.

    `version` is the one below a fence.
    """

    recorded_at: int
    version: int
    settled_until: int
    drained: Mapping[str, DrainedMark]


class MovableLog(EventLog):
    """A log whose events can be copied with their positions, times, metadata and leaves."""

    @abstractmethod
    def beside(self) -> Beside:
        """What the log has beside its events."""

    @abstractmethod
    def adopt(self, rows: Sequence[StoredRow]) -> None:
        """Store rows of another log as they are: the next ones after the head's position.

        Only in a fenced log. Atomic, and idempotent as `append` is. Raises LogCorrupt if a row does
        not fit its leaf or the head, and what `append` raises; nothing was stored then.
        """

    @abstractmethod
    def put_up(self, fence: Fence, *, at: int) -> bool:
        """Let nobody write from now on; returns False if the last position is not `at`.

        Replaces an earlier fence. Raises LogReadOnly without the rights of the log's owner.
        """

    @abstractmethod
    def take_down(self, beside: Beside) -> None:
        """Let others write to what is now a whole copy, with all that the original has beside."""

    # --- keys of an erasable log; any other log has none --------------------------------------

    def keys(self) -> Mapping[str, bytes]:
        """The stored key of each run, `NO_KEY` for those that were erased or given up."""
        return {}

    def erased_runs(self) -> Collection[str]:
        """The runs that were erased."""
        return ()

    def take_keys(self, keys: Mapping[str, bytes]) -> None:
        """Store these keys, over those that runs have. Only in a fenced log; atomic."""
        raise NotImplementedError("runs of this log have no keys: it is not erasable")

    def give_up_keys(self) -> None:
        """Overwrite all keys, as they are in the copy now. Only in a fenced log; atomic."""
        raise NotImplementedError("runs of this log have no keys: it is not erasable")


def adopted(head: LogHead, rows: Sequence[StoredRow]) -> LogHead:
    """The head after rows of another log. Raises LogCorrupt if they do not follow each other."""
    position, recorded_at = head.position, head.recorded_at
    for row in rows:
        try:
            fits = leaf_of(row) == row.leaf
        except UNHASHABLE:
            fits = False
        if not fits or row.position != position + 1 or row.recorded_at < recorded_at:
            problem = "follow the event before it" if fits else "match its leaf"
            raise LogCorrupt(
                f"the event at position {row.position} does not {problem}, so it was not copied; "
                "run `runlore audit verify` on the original"
            )
        position, recorded_at = row.position, row.recorded_at
    return LogHead(position, recorded_at, head.frontier.extended(row.leaf for row in rows))


def steps_in(rows: Sequence[StoredRow]) -> list[tuple[int, int]]:
    """(as of, position) of rows that count earlier than they were recorded."""
    times = ((time_in(row.metadata, AS_OF, row.recorded_at), row) for row in rows)
    return [(as_of, row.position) for as_of, row in times if as_of < row.recorded_at]
