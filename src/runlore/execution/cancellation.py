"""Cancelling a submitted run: asking for it, and waiting a little for the script to end."""

from __future__ import annotations

import time
from typing import Final

from runlore.domain.run_commands import (
    RequestCancel,
)
from runlore.domain.status import Status
from runlore.engine.runs.ending import has_ended
from runlore.engine.runs.handle import RunHandle
from runlore.execution.targets.attached import attached
from runlore.execution.targets.kinds import trusted_target

WAIT_S: Final = 5.0
_POLL_INTERVAL_S: Final = 0.02


def cancel_submitted(run: RunHandle, reason: str | None, *, wait_s: float = WAIT_S) -> None:
    """Ask for the end of a run that waits or executes; returns when it has ended, or in time."""
    was = run.state.status
    run.change(RequestCancel(), reason=reason)
    target = run.state.target or ""
    # A run that was claimed in the meantime has a supervisor, which needs the files there.
    unclaimed = was is Status.QUEUED and run.fetch().status is Status.CANCELED
    session = run.session.writable()
    state = attached(session).get(target) if unclaimed else None
    place = None if state is None else trusted_target(session, state)
    if place is not None:
        place.withdraw(run.id)
    deadline = time.monotonic() + wait_s
    while not has_ended(run) and time.monotonic() < deadline:
        time.sleep(_POLL_INTERVAL_S)
