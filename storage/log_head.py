"""The head of a log: how far it is, and the root of all that it holds."""

from __future__ import annotations

from typing import NamedTuple

from runlore.storage.merkle import Frontier


class LogHead(NamedTuple):
    """The state of the whole log: its last position and time, and the frontier over all leaves.

    Nothing is recorded before `recorded_at` any more. It is the time of the last event, or a later
    one, if somebody asked as of a time after it: see `EventLog.settle`.
    """

    position: int = 0
    recorded_at: int = 0
    frontier: Frontier = Frontier()

    @property
    def size(self) -> int:
        """How many events the log holds."""
        return self.frontier.size
