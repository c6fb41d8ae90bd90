"""Runs that an engine puts back into its queue, after it had started them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runlore.domain.run_commands import ChangeStatus, EndRun
from runlore.domain.status import Status

if TYPE_CHECKING:
    from runlore.engine.runs.handle import RunHandle


def put_back(run: RunHandle, detail: str) -> None:
    """Record that a run waits again, whatever it was doing; one that was to be canceled is.

    Raises ChangeRefusedError if it has ended.
    """
    if run.fetch().status is Status.CANCEL_REQUESTED:
        run.change(EndRun(Status.CANCELED))
        return
    run.change(ChangeStatus(Status.NOT_RESPONDING, detail=detail))
    run.change(ChangeStatus(Status.QUEUED, detail=detail))
