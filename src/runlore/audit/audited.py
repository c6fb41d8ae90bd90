"""A log with what is kept of its audit: what all audit functions take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runlore.audit.folder import AuditFolder
from runlore.domain.errors import UserError
from runlore.domain.ids import WORKSPACE_STREAM
from runlore.storage.open_log import locate, open_log

if TYPE_CHECKING:
    from runlore.engine.session import Session
    from runlore.storage.event_log import EventLog
    from runlore.workspace import Workspace


@dataclass(frozen=True)
class AuditedLog:
    """A log, the audit folder beside it, and the origin under which checkpoints speak of it."""

    log: EventLog
    kept: AuditFolder
    origin: str

    @classmethod
    def of(cls, workspace: Workspace) -> AuditedLog:
        """That of an open workspace; its waiting values are written first.

        Raises UserError for a workspace in memory.
        """
        from runlore.workspace import session_of

        session = session_of(workspace)
        session.flush()
        return cls.of_session(session)

    @classmethod
    def of_session(cls, session: Session) -> AuditedLog:
        """The same of a session, whose values may still wait."""
        if session.files is None:
            raise UserError(
                "a workspace in memory leaves nothing behind that could be audited; "
                "create one in a folder with Workspace.create(name)"
            )
        origin = _origin(session.workspace.workspace_id)
        return cls(session.log.as_stored(), AuditFolder(session.files), origin)


@contextmanager
def audited_folder(folder: Path) -> Iterator[AuditedLog]:
    """The log of a workspace's folder, opened for looking only: nothing of it is repaired.

    Opening a workspace drains what killed processes left behind; that would change what is to be
    looked at. Raises what opening a log raises.
    """
    from runlore.storage.codec import fact_of
    from runlore.storage.errors import LogCorrupt

    log = open_log(locate(folder))
    try:
        try:
            rows = log.read_stream(WORKSPACE_STREAM)[:1]
            data = (fact_of(rows[0]).data if rows else None) or {}
        except LogCorrupt:
            data = {}  # Which event that is, is for the verification to say.
        origin = _origin(str(data.get("workspace_id")))
        yield AuditedLog(log.as_stored(), AuditFolder(folder), origin)
    finally:
        log.close()


def _origin(workspace_id: str) -> str:
    return f"runlore/{workspace_id}"
