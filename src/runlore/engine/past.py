"""A workspace as of a position: the same reads, bounded, and no writes.

This module alone decides what such a read sees: the log ends at the position (`LogAsOf`), the
projection is queried as of the position, and the values in spools and the folders of executing runs
are not visible, because they belong to the present. No run is looked after.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from runlore.domain.errors import PastIsReadOnly, WorkspaceClosed
from runlore.engine.lanes import DEFAULT_LANE
from runlore.engine.session import LiveSession, Session
from runlore.storage.journal import Journal
from runlore.storage.log_as_of import LogAsOf
from runlore.storage.spool_folder import NOTHING_LIVE, LiveValues

if TYPE_CHECKING:
    from runlore.domain.workspace import WorkspaceState
    from runlore.projections.reader import RunsReader
    from runlore.projections.sql_process.parent import IsolatedReader
    from runlore.storage.artifacts import ArtifactStore


def _refuse(position: int) -> NoReturn:
    raise PastIsReadOnly(position)


class PastSession(Session):
    """A live session as of a position. Closing it leaves the live session open."""

    def __init__(self, live: LiveSession, position: int) -> None:
        self.uri = live.uri
        self.log = LogAsOf(live.log, position)
        self.files = live.files
        self.held = live.held
        self.executing = None
        self.erasable = live.erasable
        self.is_memory = live.is_memory
        self.position = position
        # Not a method of this object: it would keep itself, and the live session, alive.
        self.journal = Journal(self.log, partial(_refuse, position), damage=live.journal.damage)
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

    @property
    def opening(self) -> dict[str, Any]:
        """That of the live session."""
        return self.live.opening

    @property
    def is_copy(self) -> bool:
        """Whether the live session's folder is a copy."""
        return self.live.is_copy

    def check_open(self) -> None:
        """Raise WorkspaceClosed after `close()`, and after that of the live session."""
        if self.closed:
            raise WorkspaceClosed(self.workspace.name)
        self.live.check_open()

    def writable(self) -> NoReturn:
        """Raise PastIsReadOnly."""
        self.check_open()
        raise PastIsReadOnly(self.position)

    def flush(self) -> None:
        """Do nothing: the log ends at the position."""
        self.check_open()

    def before_read(self, *, of_spools: bool = False) -> None:
        """Do nothing: the log ends at the position."""
        self.check_open()

    def reader(self, lane: str = DEFAULT_LANE) -> RunsReader:
        """The live session's lane as of the position. No values are flushed for it."""
        self.check_open()
        return self.live.tables(lane).at(self.position)

    def isolated(self, lane: str = DEFAULT_LANE) -> IsolatedReader:
        """The live session's process as of the position. No values are flushed for it."""
        self.check_open()
        return self.live.process(lane).at(self.position)

    def artifacts_of(self, run_id: str) -> ArtifactStore:
        """The store of a run's files, which never change but may have been erased since."""
        return self.live.artifacts_of(run_id)

    @property
    def shared_artifacts(self) -> ArtifactStore:
        """The live session's store."""
        return self.live.shared_artifacts

    def recover_values(self, *, waits: bool = False) -> None:
        """Do nothing: the values are not in the log."""

    def live_values_of(self, run_ids: Collection[str]) -> dict[str, LiveValues]:
        """None: they are not in the log."""
        return dict.fromkeys(run_ids, NOTHING_LIVE)

    def may_be_lost(self, run_id: str) -> bool:
        """False: only recorded losses are known."""
        return False

    def why_lost(self, run_id: str) -> None:
        """None: only recorded losses are known."""

    def why_queued(self, run_id: str) -> None:
        """None: a run of the past is not started."""

    def close(self) -> None:
        """Refuse further reads. Idempotent."""
        self.closed = True
