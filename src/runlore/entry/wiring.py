"""The one place where an open workspace is put together from its parts."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Collection, Hashable, Mapping
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from runlore.audit.run_end import at_run_end
from runlore.domain.errors import InvalidInput, WorkspaceNotFound
from runlore.domain.ids import COMPUTE_TARGETS
from runlore.domain.workspace import CreateWorkspace
from runlore.engine.caller_warning import warn_caller
from runlore.engine.ends import this_process as this_process
from runlore.engine.ends.dead_processes import settle_runs_of
from runlore.engine.introduction import actor_named
from runlore.engine.runs import ending as ending
from runlore.engine.runs import files as files
from runlore.engine.session import Caretaker, LiveSession
from runlore.engine.shared_log import SharedLog, use_log
from runlore.storage.artifact_places import ArtifactPlace
from runlore.storage.event_log import EventLog
from runlore.storage.fence import too_new
from runlore.storage.filesystem import check_file_system
from runlore.storage.held_path import hold
from runlore.storage.log_opener import LogLocation
from runlore.storage.log_query import LogQuery
from runlore.storage.memory_log import MemoryLog
from runlore.storage.open_log import exists, identity, open_log
from runlore.storage.run_folder import RunFolder

if TYPE_CHECKING:
    import tempfile

# `this_process` waits for the end of the process. `ending` and `files` are for later. They are
# loaded here, because a run must log and end even if the process can open no more files, those of
# modules included.

_ASK_INTERVAL_S: Final = 1.0


def open_session(
    place: LogLocation,
    *,
    actor: str | None = None,
    allow_network_file_system: bool = False,
    erasable: bool = False,
    artifacts: ArtifactPlace | None = None,
    key: Hashable | None = None,
) -> LiveSession:
    """The session of a workspace, whose folder must exist; the log is created if it is missing.

    A new log can be `erasable`: then it seals its payloads. `artifacts` is the place of all files
    of runs, if it is neither the workspace's own nor the one of the user's settings. `key` is the
    log's identity, if the caller has just asked for it. Warns if the log is of a newer runlore:
    then it can be read, and changes raise LogTooNew.

    Raises UnsafeFileSystem on network mounts; NotALog, LogReadOnly or DiskFull if the log cannot
    be opened; InvalidInput for a place without a folder, which artifacts and live values need.
    """
    own = actor_named(actor)
    use = use_log(
        lambda: identity(place) if key is None else key,
        lambda: _opened(place, own, allow_network_file_system, erasable),
        place.uri,
    )
    try:
        if use.shared.held is None:
            raise InvalidInput(f"{place} has no folder on this machine, which a workspace needs")
        if not (allow_network_file_system or use.shared.is_checked) and place.folder is not None:
            check_file_system(place.folder)
            use.shared.is_checked = True
        log = use.shared.log
        if log.version > log.known_version:
            _say_why_closed(log, place)
        session = LiveSession(
            use,
            uri=place.uri,
            files=place.folder,
            artifacts=artifacts,
            actor=own,
            caretaker=_LazyCaretaker(),
            at_run_end=_at_run_end,
        )
    except BaseException:
        use.close()
        raise
    session.recover_values()
    return session


def open_existing(
    place: LogLocation,
    *,
    actor: str | None = None,
    allow_network_file_system: bool = False,
    artifacts: ArtifactPlace | None = None,
) -> LiveSession:
    """The session of an existing workspace. Raises WorkspaceNotFound, or as `open_session` does."""
    key = identity(place)
    if key is None and not exists(place):
        raise WorkspaceNotFound(
            f"no workspace in {place}; create one with "
            f"Workspace.create('my-workspace', path={str(place)!r})"
        )
    session = open_session(
        place,
        actor=actor,
        allow_network_file_system=allow_network_file_system,
        artifacts=artifacts,
        key=key,
    )
    if not session.has_workspace():
        session.close()
        raise WorkspaceNotFound(
            f"the log in {place} holds no workspace; create it with "
            f"Workspace.create('my-workspace', path={str(place)!r})"
        )
    session.look_after()
    return session


def _say_why_closed(log: EventLog, place: LogLocation) -> None:
    """Warn that nothing can be written to a log. Raises LogMoved for an incomplete copy."""
    fence = log.fence()
    closed = too_new(str(place), log.version, log.known_version, fence, keyless=log.erasable)
    if fence is not None and fence.kind == "copied from":
        raise closed
    warn_caller(str(closed))


def memory_session(name: str, *, actor: str | None = None) -> LiveSession:
    """A session that lives in this process's memory; its files go to a temporary folder."""
    import tempfile

    folder = tempfile.TemporaryDirectory(prefix="runlore-", ignore_cleanup_errors=True)
    command = CreateWorkspace(
        workspace_id=str(uuid4()),
        name=name,
        subscription_id="",
        resource_group="",
        location="memory",
    )
    own = actor_named(actor)
    uri = f"memory:{command.workspace_id}"
    session = LiveSession(
        use_log(lambda: None, lambda: SharedLog(MemoryLog(), files=None, actor=own), uri),
        uri=uri,
        files=None,
        artifacts=hold(folder.name),
        is_memory=True,
        actor=own,
    )
    # The folder must go with the session: at its collection or at exit, whichever is first.
    weakref.finalize(session, _remove, folder, os.getpid())
    session.create_workspace(command)
    return session


def _opened(
    place: LogLocation, actor: str, allow_network_file_system: bool, erasable: bool
) -> SharedLog:
    if place.folder is not None and not allow_network_file_system:
        check_file_system(place.folder)
    log = open_log(place, erasable=erasable)
    is_checked = not allow_network_file_system
    return SharedLog(log, files=place.folder, actor=actor, is_checked=is_checked)


class _LazyCaretaker(Caretaker):
    """A caretaker that imports what submitted runs need only for them: most workspaces have none.

    Targets elsewhere are asked about a run at most once a second: that may take long.
    """

    def __init__(self) -> None:
        self._answers: dict[str, tuple[float, str | None]] = {}

    def settle(self, session: LiveSession, dead: Collection[str]) -> None:
        settle_runs_of(session, dead)

    def look_after(self, session: LiveSession) -> Mapping[str, str]:
        here = (session.require_held() / "runs").is_folder()
        if not here and not session.log.count_events(LogQuery(prefix=COMPUTE_TARGETS)):
            return {}
        from runlore.execution.caretaker import look_after

        return look_after(session)

    def why_lost(self, session: LiveSession, run_id: str) -> str | None:
        if RunFolder(session.require_held(), run_id).exists():
            return None  # `look_after` finds it.
        now = time.monotonic()
        asked_at, why = self._answers.get(run_id, (-_ASK_INTERVAL_S, None))
        if now >= asked_at + _ASK_INTERVAL_S:
            from runlore.execution.caretaker import why_lost

            why = why_lost(session, run_id)
            self._answers[run_id] = now, why
        return why

    def why_queued(self, session: LiveSession, run_id: str) -> str | None:
        from runlore.execution.caretaker import why_queued

        return why_queued(session, run_id)


def _at_run_end(session: LiveSession) -> str | None:
    problem = at_run_end(session)
    return None if problem is None else f"no checkpoint was made at the run's end: {problem}"


def _remove(folder: tempfile.TemporaryDirectory[str], owner: int) -> None:
    if os.getpid() == owner:  # A forked child must not remove its parent's files.
        folder.cleanup()
