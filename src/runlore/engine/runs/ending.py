"""Ending a run: keeping its files, writing its values, recording its status."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from runlore.domain.leaving import is_wrongly_lost
from runlore.domain.run_commands import (
    ChangeStatus,
    RequestCancel,
)
from runlore.domain.run_state import RunState
from runlore.domain.status import TERMINAL, Status
from runlore.engine.caller_warning import warn_caller
from runlore.engine.participants.others import others_in
from runlore.engine.runs.files import keep_watched
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.logs import keep_console
from runlore.storage import interruptions
from runlore.storage.errors import LogUnavailable
from runlore.storage.held_folder import FolderMoved
from runlore.storage.spool_format import EndIntent

_REASON_MAX_CHARS: Final = 500


def has_ended(run: RunHandle) -> bool:
    """Whether the run has reached its end; a lost one has not, for a process that executes it."""
    state = run.fetch()
    return state.status in TERMINAL and not _is_wrongly_lost(run, state)


def _is_wrongly_lost(run: RunHandle, state: RunState) -> bool:
    if not state.lost:
        return False
    return is_wrongly_lost(state, run.session.writable().participation.since(run.id))


def end_run(
    run: RunHandle,
    status: Status,
    *,
    set_status: bool = True,
    error: Mapping[str, str] | None = None,
    reason: str | None = None,
) -> None:
    """Keep the watched folders, write buffered values, and record the end. Idempotent.

    The status is recorded only if this process owns it. A process that takes part in the run ends
    it as Canceled if that was requested; the history then says why it failed, if it did. Raises
    RunEnded if the run has ended with another status.

    In a folder that was moved the end waits, with a warning, until it is opened where it is; raises
    FolderMoved if it was removed. One that interrupts another call is put off, and kept in the
    spool: the process may be killed before that call has returned.
    """
    if interruptions.interrupts():
        if set_status and run.owns_status:
            note_end(run, status, error)
        again = partial(end_run, run, status, set_status=set_status, error=error, reason=reason)
        interruptions.put_off(again)
        return
    try:
        _end_run(run, status, set_status=set_status, error=error, reason=reason)
    except FolderMoved as moved:
        if not (set_status and run.owns_status and keep_end(run, status, error)):
            raise
        warn_caller(
            f"the end of run {run.id} waits in the moved folder, until it is opened there: {moved}",
            RuntimeWarning,
        )


def _end_run(
    run: RunHandle,
    status: Status,
    *,
    set_status: bool,
    error: Mapping[str, str] | None,
    reason: str | None,
) -> None:
    run.session.writable()
    state = run.fetch()
    if state.status is status and not _is_wrongly_lost(run, state):
        run.session.flush()
        return
    keep_watched(run)
    if not (set_status and run.owns_status):
        run.session.flush()
        return
    if error and reason is None and state.status is Status.CANCEL_REQUESTED:
        reason = _short(f"failed after it was asked to stop: {error.get('message', '')}")
    record_status(run, status, error, reason)


def cancel_run(run: RunHandle, *, reason: str | None = None) -> None:
    """End an interactive run as Canceled, or ask for that where another process executes it.

    Such a process sees `should_stop`, and the run is Canceled when it ends. Whether a process lives
    is known from its writer's lock; where that is not known, the run is Canceled at once, as in
    this process. Raises RunEnded if the run has ended with another status.
    """
    session = run.session.writable()
    executes = session.participation.executes(run.id)
    others = others_in(session.held, session.journal, run.fetch())
    if executes or not any(other.is_alive for other in others):
        end_run(run, Status.CANCELED, reason=reason)
    else:
        run.change(RequestCancel(), reason=reason)


def record_status(
    run: RunHandle,
    status: Status,
    error: Mapping[str, str] | None = None,
    reason: str | None = None,
) -> None:
    """Record a status, and write buffered values in the same commit."""
    session = run.session.writable()
    if status in TERMINAL:
        session.settle_capture(run.id)
        keep_console(run)
    participation = session.participation
    inside = participation.is_inside(run.id)
    run.change(ChangeStatus(status, error, from_inside=inside), flush_values=True, reason=reason)
    if status in TERMINAL:
        participation.end(run.id)


def _short(text: str) -> str:
    return text if len(text) <= _REASON_MAX_CHARS else f"{text[: _REASON_MAX_CHARS - 3]}..."


def record_or_keep(run: RunHandle, status: Status, error: Mapping[str, str] | None) -> None:
    """Record an end that nobody will try again; if it cannot be written now, keep it.

    The error of a canceled run says why. Raises LogUnavailable or FolderMoved if it is kept, and as
    `record_status` does.
    """
    try:
        if status is Status.CANCELED and error is not None:
            record_status(run, status, reason=error["message"])
        else:
            record_status(run, status, error)
    except (LogUnavailable, FolderMoved):
        keep_end(run, status, error)
        raise


def keep_end(run: RunHandle, status: Status, error: Mapping[str, str] | None) -> bool:
    """Keep the end in the spool, until the log can be written.

    Returns whether it survives this process.
    """
    return run.writable().put_end(_intent(run, status, error))


def note_end(run: RunHandle, status: Status, error: Mapping[str, str] | None) -> None:
    """Note an end that is put off, so that it is recorded if this process is killed before."""
    run.writable().note_end(_intent(run, status, error))


def _intent(run: RunHandle, status: Status, error: Mapping[str, str] | None) -> EndIntent:
    plain = None if error is None else dict(error)
    return EndIntent(run.id, str(status), plain, run.writable().log.now_us())
