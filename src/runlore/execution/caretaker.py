"""Looking after runs whose supervisors were killed. Readers do it, since there is no daemon.

The run's target says whether a supervisor takes care of it. If none does, the run is recorded as
lost (or as canceled, if that had been asked for), and when its processes are gone, its output and
files are kept. If that cannot be known from this machine, only the age of the supervisor's last
heartbeat is: the run is recorded as not responding, and its supervisor takes that back. Targets
whose supervisors were all killed are started again.

A workspace may be a stranger's, and several users may share one. So a reader looks only after
folders that belong to this user, starts only what this user has ordered (`handover`), ends only
processes that a supervisor of this very folder has started, and asks targets of other packages only
where this user trusts them (`targets.trusted`).
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from runlore.domain.compute_target import LOCAL
from runlore.domain.errors import ChangeRefusedError, RunloreError
from runlore.domain.ids import run_stream
from runlore.domain.run_commands import (
    AddWarning,
    ChangeStatus,
    EndRun,
    LoseRun,
)
from runlore.domain.run_state import RunState
from runlore.domain.status import TERMINAL, Status
from runlore.engine.caller_warning import warn_caller
from runlore.engine.runs.handle import RunHandle
from runlore.execution.handover import Orders
from runlore.execution.kept_files import keep_files_of
from runlore.execution.processes import end_processes, processes_of
from runlore.execution.targets.attached import attached, state_of
from runlore.execution.targets.kinds import trusted_target
from runlore.execution.targets.pool import Pool
from runlore.execution.targets.target import Target
from runlore.execution.targets.this_machine import has_supervisor
from runlore.storage.file_lock import unlock
from runlore.storage.presence import DEAD_S
from runlore.storage.run_folder import SILENT_AFTER_S, RunFolder, folders_in, remove_leftovers
from runlore.storage.writers import Life

if TYPE_CHECKING:
    from runlore.engine.session import LiveSession

_warned: Final[set[str]] = set()
"""The queued runs that this process has warned of; each is told once."""


def look_after(session: LiveSession) -> dict[str, str]:
    """Look after all runs that have a folder, and after the targets.

    Returns, by id, why runs are lost whose loss could not be recorded: some readers may not write.
    """
    unrecorded: dict[str, str] = {}
    workspace = session.require_held()
    for folder in folders_in(workspace):
        if folder.owner_uid() != os.geteuid():
            continue  # Its user's processes look after it.
        # The folder may not be a run's, may be gone or another user's, or the disk may be full:
        # reading goes on, and a later look tries again.
        with suppress(RunloreError, OSError):
            why = _look_after(session, folder)
            if why is not None:
                unrecorded[folder.run_id] = why
    with suppress(RunloreError, OSError):  # Readers that may not write start nothing.
        _settle_targets(session)
    with suppress(RunloreError, OSError):
        _drop_orders(session)
    remove_leftovers(workspace)
    return unrecorded


def why_lost(session: LiveSession, run_id: str) -> str | None:
    """Record a run as lost that has no folder and no supervisor: `look_after` does not find it.

    Returns why it is lost if that could not be recorded.
    """
    folder = RunFolder(session.require_held(), run_id)
    run = RunHandle(session, run_id)
    state = run.refresh()
    if state is None:
        return None
    target = _place_of(session, state)
    if state.handle is not None or (target is not None and not target.executes_here):
        _observe(target, run, state)
        return None
    if state.status is Status.QUEUED:
        return None
    if _is_alive(session, state, folder) is not False or _is_elsewhere(session, state):
        return None
    why = f"compute target {_target(state)!r} no longer executes the run, and its folder is gone"
    try:
        run.change(LoseRun(why))
    except RunloreError:
        return why if _is_lost(run) else None
    return None


def _is_elsewhere(session: LiveSession, state: RunState) -> bool:
    """Whether a process of another machine may look after the run: its folder is there."""
    presence = session.log.presence
    if presence is None:
        return False
    heard = [one for one in presence.heard() if state.run_id in one.parts and not one.has_left]
    if any(one.state.life is not Life.DEAD for one in heard):
        return True
    # Its supervisor may be about to begin, or the server has forgotten all in a crash.
    last = session.journal.facts(run_stream(state.run_id))[-1].recorded_at
    return session.log.now_us() - last < DEAD_S * 1e6


def _look_after(session: LiveSession, folder: RunFolder) -> str | None:
    run = RunHandle(session, folder.run_id)
    if folder.is_locked():
        return None
    state = run.refresh()
    if state is None and folder.is_foreign():
        return None
    if state is not None:
        _observe(_place_of(session, state), run, state)
        state = run.refresh()
    if state is not None and state.status is Status.QUEUED:
        return None
    is_alive = _is_alive(session, state, folder)
    if is_alive is None and (state is None or state.handle is None):
        _record_silence(run, folder)
    if is_alive is not False:
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


def why_queued(session: LiveSession, run_id: str) -> str | None:
    """Why a queued run may never start: no process of this user does it, or a deadlock.

    None if one does, or the run is not queued.
    """
    run = RunHandle(session, run_id)
    state = run.refresh()
    if state is None or state.status is not Status.QUEUED:
        return None
    try:
        pool = Pool.of(session, _target(state))
    except Exception:  # A log may say anything of a target: then nothing starts what waits there.
        return f"compute target {_target(state)!r} cannot be used as the log has it"
    return None if pool is None else pool.why_queued(state)


def _settle_targets(session: LiveSession) -> None:
    for state in attached(session).values():
        # A target may be another package's: whatever it raises, reading goes on.
        with suppress(Exception):
            target = trusted_target(session, state)
            if target is not None:
                target.settle()
            if isinstance(target, Pool):
                _warn_of_left(target)


def _warn_of_left(pool: Pool) -> None:
    """Warn once of queued runs that seem to be this user's, but that nobody starts."""
    left = list(pool.queue.left(_warned))
    _warned.update(state.run_id for state in left)
    if left:
        more = f" (and {len(left) - 1} more)" if left[1:] else ""
        why = pool.queue.why_not_started(left[0])
        warn_caller(f"run {left[0].run_id}{more} stays Queued: {why}")


def _drop_orders(session: LiveSession) -> None:
    """Remove this user's orders, with their environments, for runs that others have ended."""
    workspace = session.require_held()

    def is_wanted(run_id: str) -> bool:
        # The folder first: a run that is about to be recorded has a locked one.
        if RunFolder(workspace, run_id).is_locked():
            return True
        state = RunHandle(session, run_id).refresh()
        return state is not None and state.status is Status.QUEUED

    Orders(workspace).drop_all(unless=is_wanted)


def _is_alive(session: LiveSession, state: RunState | None, folder: RunFolder) -> bool | None:
    """Whether a supervisor takes care of the run, by its target; None if that is unknown.

    The folder's lock must do for a run that is not recorded yet or has ended, and for a run whose
    target was deleted.
    """
    if state is None or state.status in TERMINAL or _target(state) not in attached(session):
        return has_supervisor(folder)
    try:
        target = trusted_target(session, state_of(session, _target(state)))
        return None if target is None else target.is_alive(folder.run_id)
    except Exception:  # Not installed here, or another package's: then nothing is known.
        return None


def _target(state: RunState) -> str:
    return state.target or LOCAL


def _take_over(session: LiveSession, run: RunHandle, folder: RunFolder) -> str | None:
    state = run.refresh()
    if state is not None and state.status is Status.QUEUED:
        return None
    submitted = state is not None and state.submitted
    if submitted and state is not None and state.status not in TERMINAL:
        why = _why(folder)
        session.recover_values()
        try:
            run.change(_kept_end(folder) or _end_of(session, state) or LoseRun(why))
        except RunloreError:
            return why
    if processes_of(folder):
        if folder.has_leash():
            return None  # The leash is ending them; a later look clears up.
        end_processes(folder, (), 0)
    if submitted and state is not None:
        watched = (state.definition or {}).get("watched") or ()
        names = ("outputs", *(name for name in watched if isinstance(name, str)), "user_logs")
        for problem in keep_files_of(run, folder, names):
            with suppress(RunloreError):
                run.change(AddWarning("outputs", problem))
    if state is not None:
        _forget(session, state)
    folder.remove()
    return None


def _place_of(session: LiveSession, state: RunState) -> Target | None:
    """The run's target, if it may be asked.

    None if it is deleted, its kind is not installed here, or it is not to be used.
    """
    known = attached(session).get(_target(state))
    with suppress(Exception):  # Another package's may raise anything.
        return None if known is None else trusted_target(session, known)
    return None


def _observe(target: Target | None, run: RunHandle, state: RunState) -> None:
    if target is not None and state.status not in TERMINAL:
        with suppress(Exception):  # Another package's may raise anything: reading goes on.
            target.observe(run)


def _end_of(session: LiveSession, state: RunState) -> EndRun | LoseRun | None:
    target = _place_of(session, state)
    with suppress(Exception):
        return None if target is None else target.end_of(state)
    return None


def _forget(session: LiveSession, state: RunState) -> None:
    target = _place_of(session, state)
    with suppress(Exception):
        if target is not None:
            target.forget(state.run_id)


def _kept_end(folder: RunFolder) -> EndRun | None:
    """The end that a supervisor could not record, because the workspace was moved."""
    kept = folder.kept_end()
    if kept is None or kept[0] not in TERMINAL:
        return None
    return EndRun(Status(kept[0]), kept[1])


def _why(folder: RunFolder) -> str:
    owner = folder.owner()
    where = f" on {owner.host}" if owner else ""
    return (
        f"the supervisor of the run{where} ended without recording how the run ended (it was "
        "killed, or the machine was restarted); the values that the run had logged are kept"
    )


def _is_lost(run: RunHandle) -> bool:
    state = run.refresh()
    if state is None or not state.submitted:
        return False
    return state.status not in (*TERMINAL, Status.QUEUED)


def _record_silence(run: RunHandle, folder: RunFolder) -> None:
    silence_s, owner = folder.silence_s(), folder.owner()
    state = run.refresh()
    if state is None or owner is None or silence_s < SILENT_AFTER_S:
        return
    if state.status in (*TERMINAL, Status.QUEUED, Status.NOT_RESPONDING):
        return
    detail = f"nothing was heard of its supervisor on {owner.host} for {silence_s:.0f} s"
    with suppress(ChangeRefusedError):
        run.change(ChangeStatus(Status.NOT_RESPONDING, detail=detail))
