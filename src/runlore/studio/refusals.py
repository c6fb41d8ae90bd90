"""Refused changes: what stands in the way, and who put it there."""

from __future__ import annotations

from starlette.responses import Response

from runlore.domain.errors import ChangeRefusedError
from runlore.domain.topics import STATUS_AFTER
from runlore.run import Run
from runlore.studio.problems import problem


def refused(error: ChangeRefusedError, run: Run) -> Response:
    """The answer to a change that the run's status refused: `by` says who gave it that, and `at`.

    `what` is the change that did it, such as `completed`.
    """
    held = (one for one in reversed(run.history()) if f"run.{one.what}" in STATUS_AFTER)
    last = next(held, None)
    more = {} if last is None else {"by": last.who, "at": last.time, "what": last.what}
    return problem(409, type(error).__name__, str(error), **more)
