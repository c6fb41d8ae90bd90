"""How a run ends: its files kept, its values written, its status recorded."""

from __future__ import annotations

from collections.abc import Mapping

from runlore.domain.run import ChangeStatus
from runlore.domain.status import TERMINAL, Status
from runlore.engine.runs.files import keep_watched
from runlore.engine.runs.handle import RunHandle


def has_ended(run: RunHandle) -> bool:
    """Whether the run has reached its end."""
    return run.fetch().status in TERMINAL


def end_run(
    run: RunHandle,
    status: Status,
    *,
    set_status: bool = True,
    error: Mapping[str, str] | None = None,
    reason: str | None = None,
) -> None:
    """Keep the watched folders, write what waits, and record the end; again is a no-op.

    The status is recorded only where this process owns it. Raises RunEnded on a run that has
    ended otherwise.
    """
    run.session.writable()
    if run.fetch().status is status:
        run.session.flush()
        return
    keep_watched(run)
    if set_status and run.owns_status:
        record_status(run, status, error, reason)
    else:
        run.session.flush()


def record_status(
    run: RunHandle,
    status: Status,
    error: Mapping[str, str] | None = None,
    reason: str | None = None,
) -> None:
    """Record a status, with the values that wait in the same commit."""
    run.change(ChangeStatus(status, error), flush_values=True, reason=reason)
