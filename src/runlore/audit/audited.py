"""A log and the audit files beside it: what all audit functions work on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
def audited_folder(path_or_uri: str | os.PathLike[str]) -> Iterator[AuditedLog]:
    """The log in a workspace's folder or at its URI, opened without the workspace: no repairs.

    Opening the workspace would write the values that killed processes left, and so change the
    log before it is examined. Raises what opening a log raises.
    """
    from runlore.storage.codec import fact_of
    from runlore.storage.errors import LogCorrupt

    place = locate(path_or_uri)
    log = open_log(place)
    try:
        try:
            rows = log.read_stream(WORKSPACE_STREAM)[:1]
            data = (fact_of(rows[0]).data if rows else None) or {}
        except LogCorrupt:
            data = {}  # The verification reports which event that is.
        origin = origin_of(str(data.get("workspace_id")))
        held = hold(place.folder) if place.folder is not None else log.folder
        if held is None:
            raise UserError(f"{place} has no folder on this machine for what an audit keeps")
        yield AuditedLog(log.as_stored(), AuditFolder(held), origin)
    finally:
        log.close()


def origin_of(workspace_id: str) -> str:
    """The name of a workspace's log in checkpoints and keys."""
    return f"{_ORIGIN}{workspace_id}"
