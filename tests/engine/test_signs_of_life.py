"""Who is asked to stop, what a run counts its duration from, and lost runs that are heard again."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.run_commands import (
    LoseRun,
)
from runlore.domain.run_state import RunState
from runlore.engine.participants import own
from runlore.engine.runs import handle
from runlore.run.run import handle_of
from runlore.storage.log_query import LogQuery
from runlore.workspace import session_of
from tests.ranks import folder_of, ranks
from tests.workspaces import seen_again, start

processes = pytest.mark.processes


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`should_stop` reads the log at every call, and a run is read beside each of its values."""
    monkeypatch.setattr(handle, "_LOOK_INTERVAL_S", 0.0)
    monkeypatch.setattr(own, "_LOOK_INTERVAL_S", 0.0)
    yield


def state_of(run: Run) -> RunState:
    return handle_of(run).fetch()


def topics_of(run: Run) -> list[str]:
    """The topics of the run's events, values included, in the order of the log."""
    events = session_of(run.experiment.workspace).log.read_log(LogQuery())
    return [row.topic for row in events if row.stream.startswith(f"run/{run.id}")]


# --- cancel and should_stop ---------------------------------------------------------------


@processes
@pytest.mark.parametrize("end", ["complete", "fail", "leave"])
def test_a_run_of_another_process_is_asked_to_stop_and_canceled_when_it_ends(
    lab: Workspace, end: str
) -> None:
    with ranks(folder_of(lab), 2) as (owner, other):
        run = lab.get_run(owner.ask("create"))
        assert not owner.ask("should_stop")
        other.ask("attach", run.id)
        assert other.ask("cancel") == "CancelRequested"
        assert other.ask("cancel") == "CancelRequested"
        assert owner.ask("should_stop")
        arguments = {"complete": (), "fail": ("stopped in step 7",), "leave": ("Completed",)}
        owner.ask(end, *arguments[end])
        assert run.get_status() == "Canceled"
        if end == "fail":
            reasons = [change.reason for change in run.history()]
            assert "failed after it was asked to stop: stopped in step 7" in reasons


@processes
def test_a_person_can_still_complete_and_fail_a_run_that_was_asked_to_stop(lab: Workspace) -> None:
    with ranks(folder_of(lab), 1) as (owner,):
        run = lab.get_run(owner.ask("create"))
        run.cancel()
        run.complete()
        assert run.get_status() == "Completed"
        assert owner.ask("should_stop")


@processes
def test_a_run_of_a_dead_process_is_canceled_at_once(lab: Workspace) -> None:
    with ranks(folder_of(lab), 1) as (owner,):
        run = lab.get_run(owner.ask("create"))
        run.cancel()
        owner.kill()
        assert run.get_status() == "CancelRequested"
        run.cancel()
        assert run.get_status() == "Canceled"


@processes
def test_a_run_is_canceled_at_once_by_its_own_process_and_after_that_closed(
    lab: Workspace,
) -> None:
    with ranks(folder_of(lab), 1) as (owner,):
        owner.ask("create")
        assert owner.ask("cancel") == "Canceled"
        run = lab.get_run(owner.ask("create"))
        owner.close()
        run.cancel()
        assert run.get_status() == "Canceled"


def test_a_process_that_runs_on_is_told_to_stop_once_a_second(
    folder_ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(Experiment(folder_ws, "e"))
    now = [time.monotonic()]
    monkeypatch.setattr(handle, "_LOOK_INTERVAL_S", 1.0)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    assert not run.should_stop
    seen_again(run).complete()
    assert not run.should_stop
    now[0] += 1.0
    assert run.should_stop


# --- runs that others execute -------------------------------------------------------------


def test_a_child_made_for_others_has_no_duration_before_its_first_value(ws: Workspace) -> None:
    run = start(Experiment(ws, "e"))
    first, second, third = run.create_children(count=3)
    assert [child.get_status() for child in (first, second, third)] == ["Running"] * 3
    assert state_of(first).started_at is None
    clock = session_of(ws).writable().log.now_us  # A server's is not exactly this machine's.
    before = clock()
    first.log("loss", 0.5)
    after = clock()
    first.flush()
    started_at = state_of(first).started_at
    assert started_at is not None
    assert before <= started_at <= after
    assert topics_of(first) == ["run.created", "run.started", "run.values_logged"]
    second.log("loss", 0.5)
    second.complete()
    assert topics_of(second) == ["run.created", "run.values_logged", "run.started", "run.completed"]
    assert (state_of(second).started_at or 0) > after
    assert state_of(third).started_at is None
    third.tag("seen")
    assert state_of(third).started_at is not None
    shown = ws.sql("SELECT run_id, started_at IS NULL FROM runs WHERE parent_id = ?", [run.id])
    assert dict(shown.fetchall()) == {first.id: False, second.id: False, third.id: False}


@processes
def test_a_child_begins_with_the_process_that_logs_into_it_and_ends_with_it(
    lab: Workspace,
) -> None:
    with ranks(folder_of(lab), 2) as (owner, worker):
        parent = owner.ask("create")
        child = lab.get_run(owner.ask("create_child", parent))
        assert not owner.ask("leave_other", child.id)
        worker.ask("attach", child.id)
        worker.ask("log", "loss", 0.5)
        assert state_of(child).started_at is not None
        assert worker.ask("leave", "Completed")
        assert child.get_status() == "Completed"
        assert lab.get_run(parent).get_status() == "Running"


# --- lost and found -----------------------------------------------------------------------


@processes
@pytest.mark.parametrize("sign", ["log", "tag"])
def test_a_lost_run_is_found_when_its_process_is_heard_again(lab: Workspace, sign: str) -> None:
    with ranks(folder_of(lab), 1) as (owner,):
        run = lab.get_run(owner.ask("create"))
        handle_of(run).change(LoseRun("it was thought to be dead"))
        assert run.get_status() == "Failed"
        owner.ask(sign, *{"log": ("loss", 0.5), "tag": ("alive",)}[sign])
        assert run.get_status() == "Running"
        order = topics_of(run)
        last = {"log": "run.values_logged", "tag": "run.tag_set"}[sign]
        assert order == ["run.created", "run.lost", "run.found", last]
        owner.ask("complete")
        assert run.get_status() == "Completed"


@processes
def test_a_process_that_completes_a_lost_run_finds_it(lab: Workspace) -> None:
    with ranks(folder_of(lab), 1) as (owner,):
        run = lab.get_run(owner.ask("create"))
        handle_of(run).change(LoseRun("it was thought to be dead"))
        assert not owner.ask("should_stop")
        owner.ask("log", "loss", 0.5, False)
        owner.ask("complete")
        assert run.get_status() == "Completed"
        assert "run.found" in topics_of(run)


@processes
def test_a_change_by_somebody_else_leaves_a_run_lost(lab: Workspace) -> None:
    with ranks(folder_of(lab), 1) as (owner,):
        run = lab.get_run(owner.ask("create"))
        owner.kill()
        handle_of(run).change(LoseRun("its process is dead"))
        run.tag("seen")
        assert run.get_status() == "Failed"
        run.log("note", 1.0)
        run.flush()
        assert run.get_status() == "Failed"
