"""What a reader does about supervisors that were killed, since there is no daemon to do it.

On the machine of a run, a free lock says that its supervisor is dead: the run is recorded as lost
(or as canceled, if that had been asked for), and when its processes are gone, what they printed and
wrote is kept. Of a run on another machine only the age of its supervisor's last sign of life is
known: it is recorded as not responding, and its supervisor takes that back. Pools whose
supervisors were all killed are started again.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from runlore.domain.errors import ChangeRefusedError, RunloreError
from runlore.domain.run import ChangeStatus, LoseRun
from runlore.domain.run_state import RunState
from runlore.domain.status import TERMINAL, Status
from runlore.engine.runs.files import keep_folders
from runlore.engine.runs.handle import RunHandle
from runlore.execution import handover
from runlore.execution.processes import end_processes, processes_of
from runlore.execution.targets.pool import POOLS, Pool
from runlore.storage.file_lock import unlock
from runlore.storage.run_folder import (
    SILENT_AFTER_S,
    RunFolder,
    boot_id,
    folders_in,
    remove_leftovers,
)

if TYPE_CHECKING:
    from runlore.engine.session import LiveSession


def look_after(session: LiveSession) -> dict[str, str]:
    """Looks after all runs that have a folder, and after the pools.

    Returns why runs are lost that could not be recorded as such, by id: for those who may only
    read.
    """
    unrecorded: dict[str, str] = {}
    workspace = session.require_files()
    for folder in folders_in(workspace):
        # Not a run's, gone meanwhile, another user's, or no room to keep its files: whoever only
        # wants to read goes on, and a later look tries again.
        with suppress(RunloreError, OSError):
            why = _look_after(session, folder)
            if why is not None:
                unrecorded[folder.run_id] = why
    with suppress(RunloreError, OSError):  # Who may only read starts nothing.
        _settle_pools(session, workspace)
    remove_leftovers(workspace)
    return unrecorded


def lose_without_folder(session: LiveSession, run_id: str) -> str | None:
    """Records a run as lost whose folder somebody took away: nobody will find it by that.

    Returns why it is lost if that could not be recorded.
    """
    folder = RunFolder(session.require_files(), run_id)
    above = folder.root.parent
    if os.path.lexists(folder.root) or (above.exists() and not os.access(above, os.X_OK)):
        return None
    run = RunHandle(session, run_id)
    why = "nobody takes care of the run: its folder is not there any more"
    try:
        run.change(LoseRun(why))
    except RunloreError:
        return why if _is_lost(run) else None
    return None


def _look_after(session: LiveSession, folder: RunFolder) -> str | None:
    run = RunHandle(session, folder.run_id)
    if folder.is_locked():
        return None
    if folder.is_foreign() and run.refresh() is None:
        return None
    owner = folder.owner()
    if owner is not None and _is_elsewhere(owner.host, owner.boot_id):
        _look_from_afar(run, folder, owner.host)
        return None
    try:
        lock_fd = folder.lock()
    except PermissionError:
        return _why(folder) if _is_lost(run) else None
    if lock_fd is None:
        return None
    try:
        return _take_over(session, run, folder)
    finally:
        unlock(lock_fd)


def _take_over(session: LiveSession, run: RunHandle, folder: RunFolder) -> str | None:
    state = run.refresh()
    if state is not None and state.status is Status.QUEUED:
        return None
    submitted = state is not None and state.submitted
    if submitted and state is not None and state.status not in TERMINAL:
        why = _why(folder)
        session.recover_values(at_once=True)
        try:
            run.change(LoseRun(why))
        except RunloreError:
            return why
    if processes_of(folder):
        if folder.has_leash():
            return None  # It is ending them; a later look clears up.
        end_processes(folder, (), 0)
    handover.drop(folder)
    if submitted and state is not None:
        _keep_files(run, folder, state)
    folder.remove()
    return None


def _why(folder: RunFolder) -> str:
    owner = folder.owner()
    where = f" on {owner.host}" if owner else ""
    return (
        f"the supervisor of the run{where} ended without recording how the run ended (killed, "
        "or the machine was restarted); what the run had logged is kept"
    )


def _is_lost(run: RunHandle) -> bool:
    state = run.refresh()
    if state is None or not state.submitted:
        return False
    return state.status not in (*TERMINAL, Status.QUEUED)


def _is_elsewhere(host: str, boot: str) -> bool:
    """A lock tells nothing about another machine; one that was restarted is not another one."""
    return boot != boot_id() and host != socket.gethostname()


def _look_from_afar(run: RunHandle, folder: RunFolder, host: str) -> None:
    silence_s = folder.silence_s()
    state = run.refresh()
    if state is None or silence_s < SILENT_AFTER_S:
        return
    if state.status in (*TERMINAL, Status.QUEUED, Status.NOT_RESPONDING):
        return
    detail = f"nothing was heard of its supervisor on {host} for {silence_s:.0f} s"
    with suppress(ChangeRefusedError):
        run.change(ChangeStatus(Status.NOT_RESPONDING, detail=detail))


def _keep_files(run: RunHandle, folder: RunFolder, state: RunState) -> None:
    watched = (state.definition or {}).get("watched", ())
    kept = {name: folder.source / name for name in ("outputs", *watched)}
    keep_folders(run, {**kept, "user_logs": folder.user_logs})


def _settle_pools(session: LiveSession, workspace: Path) -> None:
    if not (workspace / POOLS).is_dir():
        return
    for entry in os.scandir(workspace / POOLS):
        pool = Pool.of(session, entry.name)
        if pool is not None:
            pool.settle()
