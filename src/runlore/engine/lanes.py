"""The lanes of an open log: projections side by side, so that a slow query delays no quick one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runlore.storage.event_log import EventLog
from runlore.storage.held_path import HeldPath

if TYPE_CHECKING:
    from runlore.projections.reader import RunsReader

DEFAULT_LANE: Final = "default"


class Lanes:
    """The projections of a log, by the name of their lane; each is made when it is first asked.

    Within a lane one query waits for the other. A lane is closed when all of its users have left,
    and opens again with its next query. Usable from any thread.
    """

    def __init__(self, log: EventLog, workspace: HeldPath | None) -> None:
        self._log = log
        self._workspace = workspace
        self._lanes: dict[str, _Lane] = {}

    def reader(self, lane: str, user: object) -> RunsReader:
        """The lane's projection, which stays open at least until the user leaves."""
        found = self._lanes.get(lane) or self._lanes.setdefault(lane, self._made())
        found.users.add(user)
        return found.reader

    def leave(self, user: object) -> None:
        """Close the lanes that nobody else uses."""
        for lane in list(self._lanes.values()):
            lane.users.discard(user)
            if not lane.users:
                lane.reader.projection.close()

    def forget(self, user: object) -> None:
        """End a use without closing anything: `leave` of another user or `close` does."""
        for lane in list(self._lanes.values()):
            lane.users.discard(user)

    def close(self) -> None:
        """Close all projections; the next query of a lane opens it again."""
        for lane in list(self._lanes.values()):
            lane.reader.projection.close()

    def _made(self) -> _Lane:
        # Imported here: duckdb takes longer to import than all the rest of runlore.
        from runlore.projections.own_projection import OwnProjection
        from runlore.projections.reader import RunsReader

        return _Lane(RunsReader(OwnProjection.in_cache(self._log, self._workspace)))


class _Lane:
    def __init__(self, reader: RunsReader) -> None:
        self.reader = reader
        self.users: set[object] = set()
