"""Waiting for a run's end."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from runlore.domain.errors import UserError
from runlore.domain.status import TERMINAL, Status
from runlore.domain.visible_text import visible
from runlore.engine.caller_warning import warn_caller
from runlore.execution.shown_log import ShownLog, show
from runlore.execution.targets.attached import attached

if TYPE_CHECKING:
    from runlore.engine.runs.handle import RunHandle

_POLL_INTERVAL_S: Final = 0.02
_STUCK_INTERVAL_S: Final = 1.0  # Looking for a deadlock reads the whole queue.


def wait_for(
    run: RunHandle, *, show_output: bool, wait_post_processing: bool, web_view: str
) -> None:
    """Return when the run is over; with `show_output`, print its log and a summary.

    Finalizing and CancelRequested count as over for a run that was not submitted, unless
    `wait_post_processing` is set.
    """
    where = f"RunId: {run.id}\nWeb View: {visible(web_view)}\n"
    if show_output:
        show(f"{where}\n")
    log = ShownLog(run) if show_output else None
    try:
        _wait(run, log, wait_post_processing)
    finally:
        if log is not None:
            log.close()
    if show_output:
        warnings = "".join(
            f"Warning: {visible(warning.message)}\n" for warning in run.state.warnings
        )
        show(f"{warnings}Execution Summary\n=================\n{where}\n")


def _wait(run: RunHandle, log: ShownLog | None, wait_post_processing: bool) -> None:
    look_at: float | None = time.monotonic()
    while True:
        over = _is_over(run, wait_post_processing)
        if log is not None:
            log.show()
        if over:
            return
        run.session.writable()  # Raises for a past position: waiting would never end.
        if run.is_elsewhere:
            raise UserError(
                f"run {run.id} was executing when this workspace was copied; its end is recorded "
                "in the original only. If that is gone, say so with `runlore repair --moved`"
            )
        if look_at is not None and time.monotonic() >= look_at:
            look_at = None if _warn_if_stuck(run) else time.monotonic() + _STUCK_INTERVAL_S
        time.sleep(_POLL_INTERVAL_S)


def _is_over(run: RunHandle, wait_post_processing: bool) -> bool:
    status = run.fetch().status
    if status in TERMINAL:
        return True
    to_the_end = wait_post_processing or run.state.submitted
    return not to_the_end and status in (Status.FINALIZING, Status.CANCEL_REQUESTED)


def _warn_if_stuck(run: RunHandle) -> bool:
    """Warn if the run waits for a slot that it cannot get while our own run waits for it."""
    # Imported here: most waits do not look for a deadlock.
    from runlore.execution.targets.kinds import trusted_target

    ours = os.environ.get("RUNLORE_RUN_ID")
    state = run.state
    known = attached(run.session).get(state.target or "")
    if not ours or state.status is not Status.QUEUED or known is None:
        return False
    target = trusted_target(run.session.writable(), known)
    why = None if target is None else target.why_stuck(run.id, ours)
    if why is not None:
        warn_caller(f"run {run.id} is waited for and may never start: {why}", RuntimeWarning)
    return why is not None
