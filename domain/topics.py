"""The status that an event gives its run, by the event's topic."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from runlore.domain.events import (
    RunCanceled,
    RunCancelRequested,
    RunCompleted,
    RunFailed,
    RunLost,
    RunResumed,
    RunStarted,
)
from runlore.domain.status import TERMINAL, Status

STATUS_AFTER: Final[Mapping[str, Status]] = MappingProxyType(
    {
        RunStarted.topic: Status.RUNNING,
        RunResumed.topic: Status.RUNNING,
        RunCancelRequested.topic: Status.CANCEL_REQUESTED,
        RunCompleted.topic: Status.COMPLETED,
        RunFailed.topic: Status.FAILED,
        RunCanceled.topic: Status.CANCELED,
        RunLost.topic: Status.FAILED,
    }
)
"""Without `run.created`, `run.status_changed`, `run.found` and `run.erased`, which carry a status
themselves."""

END_TOPICS: Final = frozenset(t for t, status in STATUS_AFTER.items() if status in TERMINAL)
"""The topics of the events that end a run."""
