"""Ending a run: keeping its files, writing its values, recording its status."""

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
    """Keep the watched folders, write buffered values, and record the end. Idempotent.

    The status is recorded only if this process owns it. Raises RunEnded if the run has ended with
    another status.
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
    """Record a status, and write buffered values in the same commit."""
    run.change(ChangeStatus(status, error), flush_values=True, reason=reason)
