"""Processes that race for one property: one wins, and the others learn who."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from runlore.domain import experiment, run, run_commands, run_state
from runlore.domain.decision import Decision
from runlore.domain.errors import PropertyConflict
from runlore.domain.events import RunCreated, WriterOpened
from runlore.domain.ids import experiment_stream, run_stream
from runlore.domain.run_state import RunState
from runlore.domain.status import Status
from runlore.storage.journal import Journal, StreamState
from runlore.storage.log_query import LogQuery
from runlore.storage.open_sqlite import open_sqlite
from runlore.testing.logs import check_head
from tests.chaos.rounds import RACES
from tests.processes import LIMIT_S, Child

pytestmark = pytest.mark.long

CREATED = RunCreated(
    run_id="r", experiment_id="e", experiment_name="lab", status=Status.RUNNING, root_id="r"
)


def journal_of(path: Path, actor: str) -> Journal:
    opened = WriterOpened(
        actor=actor, host="h", boot_id="b", pid=1, process="p", client_version="0"
    )
    return Journal(open_sqlite(path), lambda: opened)


def run_folded() -> StreamState[RunState | None]:
    return StreamState(run_stream("r"), run_state.fold, None)


def race(path: Path, actor: str, start: Barrier) -> tuple[str, list[str]]:
    """The racer's writer id and, for each round, who it says holds the property."""
    journal = journal_of(path, actor)
    folded = run_folded()
    journal.refresh(folded)
    holders = []
    for number in range(RACES):
        command = run_commands.AddProperties({f"k{number}": actor})
        start.wait(LIMIT_S)
        try:
            journal.change(folded, partial(decide, command, journal.writer_id))
            holders.append(actor)
        except PropertyConflict as conflict:
            assert conflict.held is not None
            assert f"{conflict.held}@h (pid 1)" in str(conflict)
            holders.append(conflict.held)
    journal.log.close()
    return journal.writer_id, holders


def decide(command: run_commands.Command, writer_id: str, state: RunState | None) -> Decision:
    return run.decide(state, command, writer_id)


@pytest.mark.parametrize("racers", [2, 8])
def test_processes_race_for_properties_and_exactly_one_wins_each(
    tmp_path: Path, racers: int
) -> None:
    path = tmp_path / "log.db"
    referee = journal_of(path, "referee")
    folded = run_folded()
    referee.change(folded, lambda state: Decision((CREATED,)))
    start = multiprocessing.get_context("fork").Barrier(racers)
    names = [f"racer{n}" for n in range(racers)]

    children = [Child(partial(race, path, name, start)) for name in names]
    writers, holders = zip(*[child.result() for child in children], strict=True)

    state = referee.refresh(folded)
    assert state is not None
    check_head(referee.log)
    for number in range(RACES):
        [held_by] = {of_racer[number] for of_racer in holders}  # All say the same.
        held = state.properties[f"k{number}"]
        assert held.value == held_by
        assert held.writer_id == writers[names.index(held_by)]
    topics = Counter(fact.topic for fact in referee.facts("run/r"))
    assert topics["run.property_added"] == RACES
    assert topics["run.change_refused"] == RACES * (racers - 1)
    refused = {(refusal.key, refusal.author) for refusal in state.refusals}
    expected = {
        (f"k{number}", writer)
        for number in range(RACES)
        for writer in writers
        if writer != state.properties[f"k{number}"].writer_id
    }
    assert refused == expected
    referee.log.close()


def create(path: Path, name: str, start: Barrier) -> list[str]:
    """The ids of the experiments that this process got for each name."""
    journal = journal_of(path, name)
    ids = []
    for number in range(20):
        lab = f"lab{number}"
        folded = StreamState(experiment_stream(lab), experiment.fold, experiment.NameState())
        command = experiment.GetOrCreate(lab, f"{name}-{number}")
        start.wait(LIMIT_S)
        journal.change(folded, partial(experiment.decide, command=command))
        active = journal.refresh(folded).active
        assert active is not None
        ids.append(active.experiment_id)
    journal.log.close()
    return ids


@pytest.mark.parametrize("racers", [2, 8])
def test_processes_that_create_an_experiment_at_once_all_get_the_same_one(
    tmp_path: Path, racers: int
) -> None:
    start = multiprocessing.get_context("fork").Barrier(racers)
    children = [
        Child(partial(create, tmp_path / "log.db", f"racer{n}", start)) for n in range(racers)
    ]
    found = [child.result() for child in children]
    assert all(ids == found[0] for ids in found)
    log = open_sqlite(tmp_path / "log.db")
    assert len(log.read_log(LogQuery(prefix="experiment/"))) == 20
    check_head(log)
    log.close()
