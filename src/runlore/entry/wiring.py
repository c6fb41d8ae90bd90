"""The one place where an open workspace is put together from its parts."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from runlore.audit.run_end import at_run_end
from runlore.domain.errors import InvalidInput
from runlore.domain.workspace import CreateWorkspace
from runlore.engine.session import Caretaker, LiveSession
from runlore.storage.filesystem import check_file_system
from runlore.storage.log_opener import LogLocation
from runlore.storage.memory_log import MemoryLog
from runlore.storage.open_log import open_log


def open_session(
    place: LogLocation,
    *,
    actor: str | None = None,
    allow_network_file_system: bool = False,
    erasable: bool = False,
) -> LiveSession:
    """The session of a workspace, whose folder must exist; the log is created if it is missing.

    A new log can be `erasable`: then it seals its payloads.

    Raises UnsafeFileSystem on network mounts; NotALog, LogReadOnly or DiskFull if the log cannot
    be opened; InvalidInput for a place without a folder, which artifacts and live values need.
    """
    folder = place.folder
    if folder is None:
        raise InvalidInput(f"{place} has no folder on this machine, which a workspace needs")
    if not allow_network_file_system:
        check_file_system(folder)
    session = LiveSession(
        open_log(place, erasable=erasable),
        uri=place.uri,
        files=folder,
        artifacts=folder / "artifacts",
        actor=actor,
        caretaker=_LazyCaretaker(),
        at_run_end=_at_run_end,
    )
    session.recover_values()
    return session


def memory_session(name: str, *, actor: str | None = None) -> LiveSession:
    """A session that lives in this process's memory; its files go to a temporary folder."""
    folder = tempfile.TemporaryDirectory(prefix="runlore-", ignore_cleanup_errors=True)
    command = CreateWorkspace(
        workspace_id=str(uuid4()),
        name=name,
        subscription_id="",
        resource_group="",
        location="memory",
    )
    session = LiveSession(
        MemoryLog(),
        uri=f"memory:{command.workspace_id}",
        files=None,
        artifacts=Path(folder.name),
        is_memory=True,
        actor=actor,
    )
    # The folder must go with the session: at its collection or at exit, whichever is first.
    weakref.finalize(session, _remove, folder, os.getpid())
    session.create_workspace(command)
    return session


class _LazyCaretaker(Caretaker):
    """A caretaker that imports the real one only for submitted runs: most workspaces have none."""

    def look_after(self, session: LiveSession) -> Mapping[str, str]:
        if not (session.require_files() / "runs").is_dir():
            return {}
        from runlore.execution.caretaker import look_after

        return look_after(session)

    def why_lost(self, session: LiveSession, run_id: str) -> str | None:
        from runlore.execution.caretaker import why_lost

        return why_lost(session, run_id)


def _at_run_end(session: LiveSession) -> str | None:
    problem = at_run_end(session)
    return None if problem is None else f"no checkpoint was made at the run's end: {problem}"


def _remove(folder: tempfile.TemporaryDirectory[str], owner: int) -> None:
    if os.getpid() == owner:  # A forked child must not remove its parent's files.
        folder.cleanup()
