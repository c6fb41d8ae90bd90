"""The status machine, written down a second time as the list of its steps."""

from __future__ import annotations

import pytest

from runlore.domain.status import ACTIVE, TERMINAL, Status, may_follow

FORWARD = {
    "NotStarted": "Starting Provisioning Preparing Queued Running",
    "Starting": "Provisioning Preparing Queued Running",
    "Provisioning": "Preparing Queued Running",
    "Preparing": "Provisioning Queued Running",
    "Queued": "Provisioning Preparing Running Starting",
    "Running": "Paused Finalizing",
    "Paused": "Running Finalizing",
    "Finalizing": "",
    "CancelRequested": "",
    # Exempt from the order: a run returns from it to any status.
    "NotResponding": "NotStarted Starting Provisioning Preparing Queued Running Paused Finalizing",
}
FROM_ANYWHERE = "CancelRequested NotResponding Completed Failed Canceled"


def test_every_status_of_the_specification_exists() -> None:
    expected = [*FORWARD, "Completed", "Failed", "Canceled"]
    assert sorted(status.value for status in Status) == sorted(expected)


@pytest.mark.parametrize("held", FORWARD)
def test_an_active_run_has_the_next_statuses_of_the_machine(held: str) -> None:
    expected = {*FORWARD[held].split(), *FROM_ANYWHERE.split()} - {held}
    found = {asked.value for asked in Status if may_follow(Status(held), asked)}
    assert found == expected


@pytest.mark.parametrize("ended", ["Completed", "Failed", "Canceled"])
def test_an_ended_run_goes_nowhere(ended: str) -> None:
    assert not any(may_follow(Status(ended), asked) for asked in Status)


def test_active_and_terminal_are_all_there_is() -> None:
    assert frozenset(Status) == ACTIVE | TERMINAL
    assert not ACTIVE & TERMINAL


def test_no_status_follows_itself() -> None:
    assert not any(may_follow(status, status) for status in Status)
