"""A log and the audit files beside it: what all audit functions work on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runlore.audit.folder import AuditFolder
from runlore.domain.errors import UserError
from runlore.domain.ids import WORKSPACE_STREAM
from runlore.storage.held_path import hold
from runlore.storage.open_log import locate, open_log

if TYPE_CHECKING:
    from runlore.engine.session import Session
    from runlore.storage.event_log import EventLog

_ORIGIN: Final = "runlore/"


@dataclass(frozen=True)
class AuditedLog:
    """A log, the audit folder beside it, and the origin that its checkpoints name."""

    log: EventLog
    kept: AuditFolder
    origin: str

    @property
    def workspace_id(self) -> str:
        """The id of the log's workspace."""
        return self.origin.removeprefix(_ORIGIN)

    @classmethod
    def of(cls, session: Session) -> AuditedLog:
        """The log of an open workspace. Values that wait to be written are not in it yet.

        Raises UserError for a workspace in memory.
        """
        if session.held is None:
            raise UserError(
                "a workspace in memory leaves nothing that could be audited; "
                "create one in a folder with Workspace.create(name)"
            )
        origin = origin_of(session.workspace.workspace_id)
        return cls(session.log.as_stored(), AuditFolder(session.held), origin)


@contextmanager
def audited_folder(folder: Path) -> Iterator[AuditedLog]:
    """The log in a workspace's folder, opened without the workspace, so nothing is repaired.

    Opening the workspace would write the values that killed processes left, and so change the
    log before it is examined. Raises what opening a log raises.
    """
    from runlore.storage.codec import fact_of
    from runlore.storage.errors import LogCorrupt

    log = open_log(locate(folder))
    try:
        try:
            rows = log.read_stream(WORKSPACE_STREAM)[:1]
            data = (fact_of(rows[0]).data if rows else None) or {}
        except LogCorrupt:
            data = {}  # The verification reports which event that is.
        origin = origin_of(str(data.get("workspace_id")))
        yield AuditedLog(log.as_stored(), AuditFolder(hold(folder)), origin)
    finally:
        log.close()


def origin_of(workspace_id: str) -> str:
    """The name of a workspace's log in checkpoints and keys."""
    return f"{_ORIGIN}{workspace_id}"
