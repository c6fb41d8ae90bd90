"""A workspace as of a position: the same reads, bounded, and no writes.

This module, and nothing in the code that reads, decides what a read as of a position sees: the log
ends there (`LogAsOf`), the projection is asked as of there, values in spools and folders of runs
that execute belong to now and are not seen, and no run is looked after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from runlore.domain.errors import PastIsReadOnly, WorkspaceClosed
from runlore.engine.session import LiveSession, Session
from runlore.storage.journal import Journal
from runlore.storage.log_as_of import LogAsOf
from runlore.storage.spool_folder import NOTHING_LIVE, LiveValues

if TYPE_CHECKING:
    from runlore.domain.workspace import WorkspaceState
    from runlore.projections.reader import RunsReader
    from runlore.storage.artifacts import ArtifactStore


class PastSession(Session):
    """What a live session read when its log ended at a position. Closing it leaves that open."""

    def __init__(self, live: LiveSession, position: int) -> None:
        self.uri = live.uri
        self.log = LogAsOf(live.log, position)
        self.files = live.files
        self.executing = None
        self.erasable = live.erasable
        self.is_memory = live.is_memory
        self.position = position
        self.journal = Journal(self.log, self.writable)
        self.live = live

    @classmethod
    def of(cls, session: Session, position: int) -> PastSession:
        """A session as of a position that it can see."""
        if isinstance(session, PastSession):
            return cls(session.live, position)
        return cls(session.writable(), position)

    @property
    def workspace(self) -> WorkspaceState:
        """The workspace's identity, which never changes."""
        return self.live.workspace

    def check_open(self) -> None:
        """Raises WorkspaceClosed after its own `close()`, and after that of the live one."""
        if self.closed:
            raise WorkspaceClosed(self.workspace.name)
        self.live.check_open()

    def writable(self) -> NoReturn:
        """Raises PastIsReadOnly."""
        self.check_open()
        raise PastIsReadOnly(self.position)

    def flush(self) -> None:
        """Nothing waits: the log ended at the position."""
        self.check_open()

    def reader(self) -> RunsReader:
        """The live session's projection, asked as of the position. Nothing is written for it."""
        self.check_open()
        return self.live.tables().at(self.position)

    def artifacts_of(self, run_id: str) -> ArtifactStore:
        """The store of a run's files, which never change but may have been erased since."""
        return self.live.artifacts_of(run_id)

    @property
    def shared_artifacts(self) -> ArtifactStore:
        """The live session's store."""
        return self.live.shared_artifacts

    def recover_values(self, *, at_once: bool = False) -> None:
        """Nothing: the values are not in the log."""

    def live_values(self, run_id: str) -> LiveValues:
        """None: they are not in the log."""
        return NOTHING_LIVE

    def why_lost(self, run_id: str) -> None:
        """None: only what was recorded is known."""

    def close(self) -> None:
        """Refuse further reads. Idempotent."""
        self.closed = True
