"""The checkpoint at a run's end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runlore.audit.audited import AuditedLog
from runlore.audit.folder import AuditFolder

if TYPE_CHECKING:
    from runlore.engine.session import Session


def at_run_end(session: Session) -> str | None:
    """Make a checkpoint if the workspace is set so; return the reason if that failed.

    A training run that has ended well must not fail because of its checkpoint.
    """
    try:
        if session.files is not None and AuditFolder(session.files).settings().at_run_end:
            # Imported here: most workspaces make no checkpoints.
            from runlore.audit.checkpoints import create_checkpoint

            create_checkpoint(AuditedLog.of(session))
    except Exception as error:  # The folder's files may hold anything.
        return str(error) or repr(error)
    return None
