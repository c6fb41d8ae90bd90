"""The table of statuses by topic agrees with the decisions and the fold."""

from __future__ import annotations

import pytest

from runlore.domain.events import RunCanceled, RunCompleted, RunFailed, RunLost
from runlore.domain.run_commands import (
    ChangeStatus,
    LoseRun,
)
from runlore.domain.status import Status
from runlore.domain.topics import END_TOPICS, STATUS_AFTER
from tests.domain.given import ALICE, created, given


@pytest.mark.parametrize("status", sorted(set(STATUS_AFTER.values())))
def test_the_event_of_a_status_has_that_status_in_the_table(status: Status) -> None:
    before = Status.NOT_STARTED if status is Status.RUNNING else Status.RUNNING
    [event] = given(created(before)).when(ChangeStatus(status)).events()
    after = given(created(before), event).state

    assert STATUS_AFTER[event.topic] is status
    assert after is not None
    assert after.status is status


def test_a_lost_run_has_failed() -> None:
    [event] = given(created()).when(LoseRun("no heartbeat"), ALICE).events()

    assert (event.topic, STATUS_AFTER[event.topic]) == (RunLost.topic, Status.FAILED)


def test_four_events_end_a_run() -> None:
    ends = (RunCompleted, RunFailed, RunCanceled, RunLost)
    assert {event.topic for event in ends} == END_TOPICS
