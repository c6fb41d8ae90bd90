"""Runs that a cluster puts back into its queue."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runlore import Experiment
from runlore.domain.run_commands import RequestCancel
from runlore.engine.runs.handle import RunHandle
from runlore.execution.targets.engines.requeue import put_back
from runlore.workspace import session_of
from tests.workspaces import in_memory


@pytest.fixture
def run() -> Iterator[RunHandle]:
    """A run that goes on."""
    with in_memory("lab") as ws:
        run = Experiment(ws, "e").start_logging(outputs=False, snapshot_directory=None)
        yield RunHandle(session_of(ws), run.id)


def test_a_run_that_is_put_back_waits_again(run: RunHandle) -> None:
    put_back(run, "preempted")

    assert run.fetch().status == "Queued"
    assert run.fetch().status_detail == "preempted"


def test_a_run_that_was_to_be_canceled_does_not_wait_again(run: RunHandle) -> None:
    run.change(RequestCancel())

    put_back(run, "preempted")

    assert run.fetch().status == "Canceled"
