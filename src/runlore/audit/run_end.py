"""The checkpoint at a run's end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runlore.audit.audited import AuditedLog
from runlore.audit.folder import AuditFolder
from runlore.audit.own_settings import asked_at_run_end

if TYPE_CHECKING:
    from runlore.engine.session import Session


def at_run_end(session: Session) -> str | None:
    """Make a checkpoint if this user's settings say so; return the reason if none was made.

    A training run that has ended well must not fail because of its checkpoint.
    """
    try:
        if session.held is None:
            return None
        kept, workspace_id = AuditFolder(session.held), session.workspace.workspace_id
        is_asked, why_not = asked_at_run_end(kept, workspace_id)
        if is_asked:
            # Imported here: most workspaces make no checkpoints.
            from runlore.audit.checkpoints import create_checkpoint

            create_checkpoint(AuditedLog.of(session))
        return why_not
    except Exception as error:  # The folder's files may hold anything.
        return str(error) or repr(error)
