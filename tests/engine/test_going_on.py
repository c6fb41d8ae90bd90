"""Runs that go on after their end, go back to a step, are hidden, and have a config."""

from __future__ import annotations

import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.errors import ConfigConflict
from runlore.domain.status import Status
from runlore.engine.participants import own
from runlore.engine.runs import going_on
from runlore.engine.runs.leaving import leave
from runlore.exceptions import RunloreError
from runlore.run.run import handle_of
from runlore.storage.codec import fact_of
from runlore.storage.log_query import LogQuery
from runlore.storage.value_reader import read_batch
from runlore.workspace import session_of
from tests.engine.test_leaving import ends_of
from tests.ranks import folder_of, ranks
from tests.workspaces import seen_again, start

processes = pytest.mark.processes


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is read beside each of its values."""
    monkeypatch.setattr(own, "_LOOK_INTERVAL_S", 0.0)


def steps_in_log(run: Run) -> list[int]:
    """The steps of the run's values as they were logged, void ones included."""
    log = session_of(run.experiment.workspace).log
    rows = log.read_log(LogQuery(under=f"run/{run.id}", topics=("run.values_logged",)))
    data = [fact_of(row).data for row in rows]
    return [int(step) for one in data if one for block in read_batch(one) for step in block.steps]


# --- resume -------------------------------------------------------------------------------


def test_a_resumed_run_goes_on_where_it_was(ws: Workspace) -> None:
    run = start(Experiment(ws, "e"))
    for _ in range(3):
        run.log("loss", 0.5)
    run.complete()
    going_on.resume(handle_of(run), "more epochs")
    assert run.get_status() == "Running"
    run.log("loss", 0.25)
    assert leave(handle_of(run), Status.CANCELED)
    assert ends_of(ws, run.id) == ["Completed", "Canceled"]
    assert steps_in_log(run) == [0, 1, 2, 3]
    assert "more epochs" in [change.reason for change in run.history()]
    assert handle_of(run).fetch().last_ended_at is not None


def test_to_resume_a_run_that_executes_changes_nothing(ws: Workspace) -> None:
    run = start(Experiment(ws, "e"))
    before = handle_of(run).fetch().version
    going_on.resume(handle_of(run), "more epochs")
    assert handle_of(run).fetch().version == before
    with pytest.raises(RunloreError, match="reason"):
        going_on.resume(handle_of(run), " ")


@processes
def test_a_run_is_resumed_by_another_process_after_its_own_was_killed(lab: Workspace) -> None:
    with ranks(folder_of(lab), 2) as (first, second):
        run = lab.get_run(first.ask("create"))
        for _ in range(3):
            first.ask("log", "loss", 0.5)
        first.kill()
        second.ask("attach", run.id)
        second.ask("settle")
        assert run.get_status() == "Failed"
        second.ask("resume", "from the checkpoint")
        second.ask("log", "loss", 0.25)
        assert steps_in_log(run) == [0, 1, 2, 3]
        assert second.ask("leave", "Completed")  # The death that was settled counts no more.
        assert ends_of(lab, run.id) == ["Failed", "Completed"]


@processes
def test_the_process_whose_run_another_one_resumed_still_takes_part(lab: Workspace) -> None:
    with ranks(folder_of(lab), 2) as (first, second):
        run = lab.get_run(first.ask("create"))
        first.ask("log", "loss", 0.5)
        run.fail("stop it")
        second.ask("attach", run.id)
        second.ask("resume", "it was a mistake")
        for _ in range(2):
            first.ask("log", "loss", 0.5)
        assert not second.ask("leave", "Completed")
        assert first.ask("leave", "Completed")
        assert ends_of(lab, run.id) == ["Failed", "Completed"]


# --- rewind -------------------------------------------------------------------------------


def test_automatic_steps_go_on_after_the_step_that_a_run_went_back_to(ws: Workspace) -> None:
    run = start(Experiment(ws, "e"))
    for _ in range(5):
        run.log("loss", 0.5)
        run.log_row("table", x=1.0, y=2.0)
    going_on.rewind(handle_of(run), 2)
    run.log("loss", 0.25)
    run.log_row("table", x=1.0, y=2.0)
    run.flush()
    log = session_of(ws).log
    topics = [row.topic for row in log.read_log(LogQuery(under=f"run/{run.id}"))]
    assert topics[1:] == ["run.values_logged", "run.rewound", "run.values_logged"]
    assert steps_in_log(run)[-2:] == [3, 3]
    assert handle_of(run).fetch().rewinds[0].step == 2


def test_another_process_goes_on_after_a_rewind_as_well(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    run.log_batch("loss", [0.5] * 5)
    going_on.rewind(handle_of(run), -1)
    run.log("loss", 0.25)
    run_id = run.id
    folder_ws.close()
    with Workspace.open(folder_ws.uri) as again:
        found = again.get_run(run_id)
        found.log("loss", 0.25)
        found.flush()
        assert steps_in_log(found) == [0, 1, 2, 3, 4, 0, 1]


# --- archive, config ----------------------------------------------------------------------


def test_an_archived_run_is_reactivated(run: Run) -> None:
    going_on.archive(handle_of(run), "a mistake")
    going_on.archive(handle_of(run))
    assert handle_of(run).fetch().archived_at is not None
    run.tag("still", "written")
    going_on.reactivate(handle_of(run))
    assert handle_of(run).fetch().archived_at is None
    reasons = [change.reason for change in run.history() if change.what == "archived"]
    assert reasons == ["a mistake"]


def test_a_config_is_added_once_and_corrected_with_a_reason(run: Run) -> None:
    going_on.add_config(handle_of(run), {"lr": 0.1, "net": {"layers": [64, 64]}})
    going_on.add_config(handle_of(seen_again(run)), {"lr": 0.1, "seed": None})
    with pytest.raises(ConfigConflict, match="lr"):
        going_on.add_config(handle_of(run), {"lr": 0.2})
    going_on.correct_config(handle_of(run), "lr", 0.01, "a slip")
    config = handle_of(run).fetch().config
    assert {key: held.value for key, held in config.items()} == {
        "lr": "0.01",
        "net.layers": "[64,64]",
        "seed": "null",
    }
    assert config["lr"].reason == "a slip"
