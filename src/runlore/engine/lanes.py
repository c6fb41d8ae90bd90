"""The lanes of an open log: projections side by side, so that a slow query delays no quick one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from runlore.projections.progress import on_stderr
from runlore.storage.damage import DamageReport
from runlore.storage.errors import told
from runlore.storage.event_log import EventLog
from runlore.storage.held_path import HeldPath

if TYPE_CHECKING:
    from runlore.projections.reader import RunsReader
    from runlore.projections.sql_process.parent import IsolatedReader

T = TypeVar("T")

DEFAULT_LANE: Final = "default"


class Lanes:
    """The projections of a log, by the name of their lane; each is made when it is first asked.

    A lane may have two: one in this process, and one in a process for isolated SQL. Within each one
    query waits for the other. They are closed when all of their users have left, and open again
    with the next query. Usable from any thread.
    """

    def __init__(
        self, log: EventLog, workspace: HeldPath | None, damage: DamageReport | None = None
    ) -> None:
        self._log = log
        self._damage = damage
        self._workspace = workspace
        self._readers: dict[str, _Lane[RunsReader]] = {}
        self._processes: dict[str, _Lane[IsolatedReader]] = {}

    def reader(self, lane: str, user: object) -> RunsReader:
        """The lane's projection, which stays open at least until the user leaves."""
        found = self._readers.get(lane) or self._readers.setdefault(lane, self._made())
        found.users.add(user)
        return found.reader

    def process(self, lane: str, user: object, uri: str) -> IsolatedReader:
        """The lane's process, which finds the log at the URI; it stays until the user leaves."""
        found = self._processes.get(lane) or self._processes.setdefault(
            lane, self._made_isolated(uri)
        )
        found.users.add(user)
        return found.reader

    def leave(self, user: object) -> None:
        """Close the lanes that nobody else uses."""
        for lane in self._all():
            lane.users.discard(user)
            if not lane.users:
                lane.close()

    def forget(self, user: object) -> None:
        """End a use without closing anything: `leave` of another user or `close` does."""
        for lane in self._all():
            lane.users.discard(user)

    def close(self) -> None:
        """Close all projections; the next query of a lane opens it again."""
        for lane in self._all():
            lane.close()

    def _all(self) -> list[_Lane[RunsReader] | _Lane[IsolatedReader]]:
        return [*self._readers.values(), *self._processes.values()]

    def _made(self) -> _Lane[RunsReader]:
        # Imported here: duckdb takes longer to import than all the rest of runlore.
        with told("the modules of queries"):
            from runlore.projections.own_projection import OwnProjection
            from runlore.projections.reader import RunsReader

        projection = OwnProjection.in_cache(self._log, self._workspace, self._damage, on_stderr)
        return _Lane(RunsReader(projection), projection.close)

    def _made_isolated(self, uri: str) -> _Lane[IsolatedReader]:
        # Imported here: few sessions start a process, which takes `subprocess`.
        from runlore.projections.sql_process.parent import IsolatedReader, SqlProcess

        process = SqlProcess(self._log, uri)
        return _Lane(IsolatedReader(process), process.close)


class _Lane(Generic[T]):
    def __init__(self, reader: T, close: Callable[[], None]) -> None:
        self.reader = reader
        self.close = close
        self.users: set[object] = set()
