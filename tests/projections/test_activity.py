"""What goes on in each experiment, now and as of a position."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from runlore import Experiment, Workspace
from runlore.projections.activity import DAYS
from runlore.workspace import session_of
from tests.workspaces import in_memory, start

_HOUR_NS = 3_600_000_000_000


class Clock:
    """The clock of the runs, in hours before now."""

    def __init__(self) -> None:
        self.hours_ago = 0.0
        self._now = time.time_ns

    def __call__(self) -> int:
        return self._now() - int(self.hours_ago * _HOUR_NS)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "time_ns", made)
    return made


@pytest.fixture
def ws(clock: Clock) -> Iterator[Workspace]:
    clock.hours_ago = 40 * 24
    with in_memory("lab") as made:
        yield made


def run_for(clock: Clock, experiment: Experiment, *, from_: float, hours: float) -> None:
    clock.hours_ago = from_
    run = start(experiment)
    run.log("loss", 1.0)
    run.flush()
    clock.hours_ago = from_ - hours
    run.complete()


def test_durations_and_days_of_an_experiment(ws: Workspace, clock: Clock) -> None:
    nets = Experiment(ws, "nets")
    run_for(clock, nets, from_=31 * 24, hours=1)  # Before the days that are counted.
    run_for(clock, nets, from_=26, hours=2)
    run_for(clock, nets, from_=25, hours=7)
    then = ws.position
    clock.hours_ago = 1
    run = start(nets)
    run.log("loss", 1.0)
    run.flush()
    clock.hours_ago = 0

    reader = session_of(ws).reader()
    found = reader.experiment_activity()[nets.id]
    assert (found.runs, found.active, found.failed) == (4, 1, 0)
    assert found.median_s == pytest.approx(2 * 3600, abs=60)  # Not of the one that goes on.
    assert [(day, runs) for day, runs in enumerate(found.by_day) if runs] == [
        (DAYS - 2, 2),
        (DAYS - 1, 1),
    ]
    assert [tuple(load) for load in found.targets] == [("local", 1, 0)]

    past = reader.at(then).experiment_activity()[nets.id]
    assert (past.runs, past.active, past.targets) == (3, 0, [])
    # Its last day ended with the last of those runs.
    assert [(day, runs) for day, runs in enumerate(past.by_day) if runs] == [(DAYS - 1, 2)]


def test_an_experiment_without_runs_has_no_activity(ws: Workspace) -> None:
    nets = Experiment(ws, "nets")
    assert nets.id not in session_of(ws).reader().experiment_activity()
