"""A workspace's session as of a position: the same reads, bounded, and no writes.

Here, and nowhere in the code that reads, it is decided what a read as of a position sees: the log
ends there (`LogAsOf`), the projection is asked as of there, what lies in spools and in folders of
runs that execute is of now and not seen, and nobody is looked after.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

from runlore.domain.errors import PastIsReadOnly, WorkspaceClosed
from runlore.domain.workspace import WorkspaceState
from runlore.engine.session import RunStream, Session
from runlore.storage.artifacts import ArtifactStore
from runlore.storage.journal import Journal
from runlore.storage.log_as_of import LogAsOf
from runlore.storage.run_values import RunValues
from runlore.storage.value_buffer import ValueBuffer

if TYPE_CHECKING:
    from runlore.projections.reader import RunsReader


class SessionAsOf(Session):
    """What `live` read when its log ended at the position. Closing it leaves `live` open."""

    def __init__(self, live: Session, position: int) -> None:
        super().__init__(
            LogAsOf(live.log, position),
            folder=live.folder,
            artifacts=live.artifact_folder,
            actor=None,
        )
        self.live = live
        self.position = position
        self.spools = None
        self.executing = None
        self.values = _NoValues(self.journal, position)

    @property
    def workspace(self) -> WorkspaceState:
        """Who the workspace is, which never changes."""
        return self.live.workspace

    def has_workspace(self) -> bool:
        return self.live.has_workspace()

    def check_open(self) -> None:
        """Raises WorkspaceClosed after its own `close()`, and after that of the live one."""
        if self.closed:
            raise WorkspaceClosed(self.workspace.name)
        self.live.check_open()

    def check_writable(self) -> NoReturn:
        """Raises PastIsReadOnly."""
        raise PastIsReadOnly(self.position)

    def reader(self) -> RunsReader:
        """The live session's projection, asked as of the position. Nothing is written for it."""
        self.check_open()
        return self.tables().at(self.position)

    def tables(self) -> RunsReader:
        """The live session's, which know of all positions."""
        return self.live.tables()

    def artifacts_of(self, run_id: str) -> ArtifactStore:
        """Where the files of a run are now: they never change, but they may be erased."""
        return self.live.artifacts_of(run_id)

    def recover_values(self, *, at_once: bool = False) -> None:
        """Nothing: what was not in the log then was not seen."""

    def sweep(self) -> Mapping[str, str]:
        """Nothing is looked after, and nothing known but what was recorded."""
        return {}

    def why_lost(self, folded: RunStream) -> str | None:
        return None


class _NoValues(ValueBuffer):
    """What takes no values, and so has none to write."""

    def __init__(self, journal: Journal, position: int) -> None:
        super().__init__(journal)
        self._position = position

    def of_run(self, run_id: str, *, fresh: bool = False) -> RunValues:
        """Raises PastIsReadOnly."""
        raise PastIsReadOnly(self._position)
