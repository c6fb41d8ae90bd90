"""The status machine of a run.

The statuses and their order are Azure ML's (azureml-core 1.61, `RunStatus`, "ordered by
transition order"); the transitions are those that its documentation describes. NotResponding
is exempt from the order: a run returns from it to any status.
Statuses of parents and children are independent.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """The status of a run."""

    NOT_STARTED = "NotStarted"
    STARTING = "Starting"
    PROVISIONING = "Provisioning"
    PREPARING = "Preparing"
    QUEUED = "Queued"
    RUNNING = "Running"
    NOT_RESPONDING = "NotResponding"
    PAUSED = "Paused"
    FINALIZING = "Finalizing"
    CANCEL_REQUESTED = "CancelRequested"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELED = "Canceled"


_PLACING: Final = frozenset({Status.PROVISIONING, Status.PREPARING, Status.QUEUED})

TERMINAL: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELED})
"""The final statuses: a run never leaves them."""

ACTIVE: Final = frozenset(Status) - TERMINAL

WORST_FIRST: Final = (
    *(Status.FAILED, Status.NOT_RESPONDING, Status.CANCELED, Status.CANCEL_REQUESTED),
    *(Status.NOT_STARTED, Status.QUEUED, Status.PROVISIONING, Status.PREPARING, Status.STARTING),
    *(Status.PAUSED, Status.RUNNING, Status.FINALIZING, Status.COMPLETED),
)
"""All statuses: trouble before what is still to come, and that before success."""

_NEXT: Final[dict[Status, frozenset[Status]]] = {
    Status.NOT_STARTED: frozenset({Status.STARTING, Status.RUNNING}) | _PLACING,
    Status.STARTING: frozenset({Status.RUNNING}) | _PLACING,
    Status.PROVISIONING: frozenset({Status.RUNNING}) | _PLACING,
    Status.PREPARING: frozenset({Status.RUNNING}) | _PLACING,
    Status.QUEUED: frozenset({Status.STARTING, Status.RUNNING}) | _PLACING,
    Status.RUNNING: frozenset({Status.PAUSED, Status.FINALIZING}),
    Status.PAUSED: frozenset({Status.RUNNING, Status.FINALIZING}),
    Status.FINALIZING: frozenset(),
    Status.NOT_RESPONDING: ACTIVE,
    Status.CANCEL_REQUESTED: frozenset(),
}


def may_follow(held: Status, asked: Status) -> bool:
    """Whether a run may go from the status `held` to the status `asked`; not to the same one.

    A run that has not ended may always complete, fail, be canceled, be asked to cancel or stop
    responding: these are reported from outside, whatever the run was doing.

    >>> may_follow(Status.RUNNING, Status.COMPLETED)
    True
    >>> may_follow(Status.COMPLETED, Status.RUNNING)
    False
    """
    if held in TERMINAL or asked is held:
        return False
    if asked in TERMINAL or asked in (Status.CANCEL_REQUESTED, Status.NOT_RESPONDING):
        return True
    return asked in _NEXT[held]
