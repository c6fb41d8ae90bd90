"""The head of a log: its last position and time, and the Merkle frontier over all leaves."""

from __future__ import annotations

from typing import NamedTuple

from runlore.storage.merkle import Frontier


class LogHead(NamedTuple):
    """The state of the whole log: its last position and time, and the frontier over all leaves.

    No later event is recorded before `recorded_at`. It is the time of the last event, or a later
    one after a question as of a later time: see `EventLog.settle`.
    """

    position: int = 0
    recorded_at: int = 0
    frontier: Frontier = Frontier()

    @property
    def size(self) -> int:
        """The number of events in the log."""
        return self.frontier.size
