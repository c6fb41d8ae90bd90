"""Azure's lists of statuses, under the names that scripts import."""

from __future__ import annotations

import builtins
from typing import Final


class RunStatus:
    """Azure's statuses as texts, in the order in which a run passes them."""

    QUEUED = "Queued"
    NOT_STARTED = "NotStarted"
    PREPARING = "Preparing"
    PROVISIONING = "Provisioning"
    STARTING = "Starting"
    RUNNING = "Running"
    CANCEL_REQUESTED = "CancelRequested"
    CANCELED = "Canceled"
    FINALIZING = "Finalizing"
    COMPLETED = "Completed"
    FAILED = "Failed"
    UNAPPROVED = "Unapproved"
    NOTRESPONDING = "NotResponding"
    PAUSING = "Pausing"
    PAUSED = "Paused"

    @classmethod
    def list(cls) -> builtins.list[str]:
        """All statuses."""
        return [value for name, value in vars(cls).items() if name.isupper()]

    @classmethod
    def get_running_statuses(cls) -> builtins.list[str]:
        """The statuses of a run whose script has not ended."""
        ended = (cls.CANCELED, cls.COMPLETED, cls.FAILED, *cls.get_post_processing_statuses())
        return [status for status in cls.list() if status not in ended]

    @classmethod
    def get_post_processing_statuses(cls) -> builtins.list[str]:
        """The statuses between a script's end, or the request for it, and the run's end."""
        return [cls.CANCEL_REQUESTED, cls.FINALIZING]


RUNNING_STATES: Final = RunStatus.get_running_statuses()
POST_PROCESSING_STATES: Final = RunStatus.get_post_processing_statuses()
RunStatus.__module__ = "runlore.run"  # Where users import it from.
