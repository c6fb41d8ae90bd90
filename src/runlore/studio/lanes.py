"""Threads for the questions of pages: few, and slow questions keep none from the quick ones."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, TypeVar

from anyio import CapacityLimiter, to_thread

from runlore.projections.reader import RunsReader
from runlore.projections.sql_process.parent import IsolatedReader
from runlore.studio.encoding import Answer
from runlore.studio.viewers import Viewer
from runlore.workspace import Workspace, session_of, workspace_of

T = TypeVar("T")

_QUICK_THREADS: Final = 2
_SLOW_THREADS: Final = 1
_QUICK_MEMORY_NBYTES: Final = 200_000_000
"""What its tables fill before they spill: the Studio stays small beside trainings."""

_QUICK: Final = "studio"
_SLOW: Final = "studio-slow"
_SQL: Final = "studio-sql"


class Lanes:
    """The ways to ask a workspace: `quick` for what every page shows, `slow` for the rest.

    Each has its threads, and its tables.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        session_of(workspace).reader(_QUICK).projection.limit_memory(_QUICK_MEMORY_NBYTES)
        self._quick = CapacityLimiter(_QUICK_THREADS)
        self._slow = CapacityLimiter(_SLOW_THREADS)
        self._sql = CapacityLimiter(_SLOW_THREADS)
        self._acting: dict[str, Workspace] = {}
        self._lock = threading.Lock()

    @property
    def may_write(self) -> bool:
        """Whether the user who serves may change the workspace: another one may own its folder."""
        return session_of(self._workspace).log.may_write

    def at(self, position: int | None) -> Workspace:
        """The workspace as of a position, now by default. Raises InvalidInput."""
        return self._workspace if position is None else self._workspace.as_of(position)

    def acting_as(self, viewer: Viewer) -> Workspace:
        """The workspace in which changes are recorded as the viewer's. Raises WorkspaceClosed."""
        live = session_of(self._workspace).writable()
        if viewer.actor is None:
            return self._workspace
        with self._lock:
            if viewer.actor not in self._acting:
                self._acting[viewer.actor] = workspace_of(live.acting_as(viewer.actor))
            return self._acting[viewer.actor]

    async def quick(self, question: Callable[[], T]) -> T:
        """The answer to a question, in a thread."""
        return await to_thread.run_sync(question, limiter=self._quick)

    async def slow(self, question: Callable[[], T]) -> T:
        """The answer to a question that may take seconds, one at a time."""
        return await to_thread.run_sync(question, limiter=self._slow, abandon_on_cancel=True)

    async def answer(self, position: int | None, question: Callable[[Workspace], object]) -> Answer:
        """The answer of the workspace as of a position, written as JSON in the thread."""
        return await self.quick(lambda: Answer(question(self.at(position))))

    async def answer_of_tables(
        self, position: int | None, question: Callable[[Workspace, RunsReader], object]
    ) -> Answer:
        """The answer of the tables as of a position, written as JSON in the thread."""
        return await self.quick(
            lambda: self._asked(_QUICK, position, lambda *asked: Answer(question(*asked)))
        )

    async def slow_answer_of_tables(
        self, position: int | None, question: Callable[[Workspace, RunsReader], object]
    ) -> Answer:
        """The same for questions that may take seconds; the quick ones do not wait for it."""
        return await self.slow_of_tables(position, lambda *asked: Answer(question(*asked)))

    async def slow_of_tables(
        self, position: int | None, question: Callable[[Workspace, RunsReader], T]
    ) -> T:
        """What such a question returns, as it is."""
        return await self.slow(lambda: self._asked(_SLOW, position, question))

    async def sql(self, position: int | None, question: Callable[[IsolatedReader], T]) -> T:
        """The answer of the process for users' SQL, as of a position; one query at a time."""
        return await to_thread.run_sync(
            lambda: question(session_of(self.at(position)).isolated(_SQL)),
            limiter=self._sql,
            abandon_on_cancel=True,
        )

    def _asked(
        self, lane: str, position: int | None, question: Callable[[Workspace, RunsReader], T]
    ) -> T:
        workspace = self.at(position)
        return question(workspace, session_of(workspace).reader(lane))

    def warm_up(self) -> None:
        """Bring the tables up to date."""
        session_of(self._workspace).reader(_QUICK).experiment_activity()

    def close(self) -> None:
        """Close what was opened for actors. The workspace stays open."""
        with self._lock:
            for workspace in self._acting.values():
                workspace.close()
            self._acting.clear()
