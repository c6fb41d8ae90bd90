"""The last process that leaves a run ends it, and the worst of their ends wins."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.events import RunSubmitted
from runlore.domain.leaving import Outcome
from runlore.domain.run import (
    LOST,
)
from runlore.domain.run_commands import (
    CreateRun,
)
from runlore.domain.status import TERMINAL, Status
from runlore.domain.topics import STATUS_AFTER
from runlore.engine.participants.others import others_in, show_outcome
from runlore.engine.runs import leaving
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.leaving import leave, settle
from runlore.run.run import handle_of
from runlore.storage.held_path import hold
from runlore.storage.participants import RUNS, Part, keep_outcome, parts_of
from runlore.storage.writers import WRITERS
from runlore.workspace import session_of
from tests.descriptors import open_below
from tests.processes import wait_until
from tests.ranks import POINTS, Rank, folder_of, ranks
from tests.workspaces import in_memory, start

processes = pytest.mark.processes


def ends_of(workspace: Workspace, run_id: str) -> list[str]:
    """The statuses that ended the run, in the order of the log."""
    facts = session_of(workspace).journal.facts(f"run/{run_id}")
    found = (STATUS_AFTER.get(fact.topic) for fact in facts)
    return [str(status) for status in found if status in TERMINAL]


def assert_no_parts(folder: Path) -> None:
    folder = folder / WRITERS / RUNS
    assert not folder.exists() or not any(folder.iterdir())


def two_of_a_run(team: list[Rank]) -> str:
    """The run that the first process created and the second one joined."""
    run_id: str = team[0].ask("create")
    team[1].ask("join", run_id)
    return run_id


# --- one process --------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_a_process_alone_ends_its_run_when_it_leaves(folder_ws: Workspace, status: Status) -> None:
    run = start(Experiment(folder_ws, "e"))
    run.log("loss", 0.5)
    assert leave(handle_of(run), status)
    assert run.get_status() == status
    assert run.get_metrics() == {"loss": 0.5}
    assert ends_of(folder_ws, run.id) == [status]
    assert_no_parts(folder_of(folder_ws))


def test_a_run_in_memory_ends_when_its_process_leaves() -> None:
    with in_memory("lab") as workspace:
        run = start(Experiment(workspace, "e"))
        error = {"code": "UserError", "message": "boom"}
        assert leave(handle_of(run), Status.FAILED, error)
        assert run.get_details()["error"]["error"] == error


def test_who_takes_no_part_ends_nothing(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    (child,) = run.create_children(count=1)
    assert not leave(handle_of(child), Status.COMPLETED)  # Made for others to execute.
    assert child.get_status() == "Running"
    child.log("loss", 0.5)
    assert leave(handle_of(child), Status.COMPLETED)
    assert child.get_status() == "Completed"


def test_leaving_an_ended_run_changes_nothing(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    run.complete()
    assert leave(handle_of(run), Status.FAILED, {"code": "x"})
    assert ends_of(folder_ws, run.id) == ["Completed"]


def test_a_thousand_open_runs_take_no_descriptors(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    children = run.create_children(count=50)
    children[0].log("loss", 1.0)
    folder = folder_of(folder_ws)
    before = open_below(folder)
    for child in children:
        child.log("loss", 1.0)
    assert open_below(folder) == before
    assert len(list((folder / WRITERS / RUNS).iterdir())) == 50
    folder_ws.close()
    assert_no_parts(folder)


# --- several processes --------------------------------------------------------------------


@processes
@pytest.mark.parametrize(
    ("first", "second", "end"),
    [
        ("Completed", "Completed", "Completed"),
        ("Failed", "Completed", "Failed"),
        ("Completed", "Canceled", "Canceled"),
        ("Canceled", "Failed", "Failed"),
    ],
)
def test_the_worst_end_of_two_processes_wins(
    lab: Workspace, first: str, second: str, end: str
) -> None:
    with ranks(folder_of(lab), 2) as team:
        run_id = two_of_a_run(team)
        assert not team[0].ask("leave", first, "first" if first == "Failed" else None)
        assert lab.get_run(run_id).get_status() == "Running"
        assert team[1].ask("leave", second, "second" if second == "Failed" else None)
        assert ends_of(lab, run_id) == [end]
        assert_no_parts(folder_of(lab))


@processes
def test_a_process_that_closed_the_workspace_holds_nobody_up(lab: Workspace) -> None:
    with ranks(folder_of(lab), 2) as team:
        run_id = two_of_a_run(team)
        team[0].close()
        assert team[1].ask("leave", "Completed")
        assert ends_of(lab, run_id) == ["Completed"]


@processes
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_makes_the_run_lost_with_evidence(lab: Workspace, killed: int) -> None:
    with ranks(folder_of(lab), 2) as team:
        run_id = two_of_a_run(team)
        team[killed].ask("log", "loss", 0.5, False)
        team[killed].kill()
        assert team[1 - killed].ask("leave", "Completed")
        run = lab.get_run(run_id)
        assert ends_of(lab, run_id) == ["Failed"]
        assert run.get_details()["error"]["error"]["code"] == LOST
        assert run.get_metrics() == {"loss": 0.5}
        (lost,) = [
            fact
            for fact in session_of(lab).journal.facts(f"run/{run_id}")
            if fact.topic == "run.lost"
        ]
        assert lost.data is not None
        assert lost.data["evidence"]["pid"] == team[killed].pid
        assert lost.data["evidence"]["lock"] == "free"


@processes
def test_a_failure_says_more_than_a_death(lab: Workspace) -> None:
    with ranks(folder_of(lab), 2) as team:
        run_id = two_of_a_run(team)
        team[0].kill()
        assert team[1].ask("leave", "Failed", "NCCL timed out")
        error = lab.get_run(run_id).get_details()["error"]["error"]
        assert error == {"code": "UserError", "message": "NCCL timed out"}


@processes
def test_a_process_that_was_killed_after_it_left_counts_as_it_left(lab: Workspace) -> None:
    with ranks(folder_of(lab), 2) as team:
        run_id = two_of_a_run(team)
        assert not team[0].ask("leave", "Canceled")
        team[0].kill()
        assert team[1].ask("leave", "Completed")
        assert ends_of(lab, run_id) == ["Canceled"]


@processes
def test_a_run_whose_process_is_stopped_is_not_lost(lab: Workspace) -> None:
    with ranks(folder_of(lab), 2) as team:
        run_id = two_of_a_run(team)
        os.kill(team[0].pid, signal.SIGSTOP)
        assert not team[1].ask("leave", "Failed", "boom")
        assert not settle(handle_of(lab.get_run(run_id)))
        os.kill(team[0].pid, signal.SIGCONT)
        assert team[0].ask("leave", "Completed")
        assert ends_of(lab, run_id) == ["Failed"]


@processes
def test_a_forked_child_neither_ends_nor_holds_up_its_parents_run(lab: Workspace) -> None:
    with ranks(folder_of(lab), 1) as (rank,):
        run_id = rank.ask("create")
        worker = rank.ask("log_in_fork", "loss", 0.5)
        try:
            (part,) = parts_when_joined(folder_of(lab), run_id)
            assert part.forked
            assert rank.ask("leave", "Completed")
            assert ends_of(lab, run_id) == ["Completed"]
        finally:
            os.kill(worker, signal.SIGKILL)


@processes
def test_a_forked_child_that_logs_keeps_the_run_from_being_lost(lab: Workspace) -> None:
    with ranks(folder_of(lab), 1) as (rank,):
        run_id = rank.ask("create")
        worker = rank.ask("log_in_fork", "loss", 0.5)
        parts_when_joined(folder_of(lab), run_id)
        rank.kill()
        run = lab.get_run(run_id)
        assert not settle(handle_of(run))
        os.kill(worker, signal.SIGKILL)
        assert_lost(run)


def parts_when_joined(folder: Path, run_id: str) -> list[Part]:
    wait_until(lambda: bool(parts_of(hold(folder), run_id)), "the forked child has logged")
    return list(parts_of(hold(folder), run_id).values())


def assert_lost(run: Run) -> None:
    wait_until(lambda: settle(handle_of(run)), "the run counts as lost")
    assert run.get_details()["error"]["error"]["code"] == LOST


# --- what recovery finds ------------------------------------------------------------------


@processes
def test_the_run_of_a_killed_process_is_settled_as_lost_once(lab: Workspace) -> None:
    with ranks(folder_of(lab), 1) as (rank,):
        run_id = rank.ask("create")
        run = handle_of(lab.get_run(run_id))
        assert not settle(run)
        rank.kill()
        assert settle(run)
        assert settle(run)
        assert ends_of(lab, run_id) == ["Failed"]


@processes
def test_the_run_of_a_process_that_closed_the_workspace_goes_on(lab: Workspace) -> None:
    with ranks(folder_of(lab), 1) as (rank,):
        run_id = rank.ask("create")
        rank.close()
        assert not settle(handle_of(lab.get_run(run_id)))
        assert lab.get_run(run_id).get_status() == "Running"


@processes
@pytest.mark.parametrize("point", range(POINTS))
@pytest.mark.parametrize("killed_first", [True, False])
def test_a_kill_at_any_point_of_leaving_leaves_one_end(
    lab: Workspace, point: int, killed_first: bool
) -> None:
    with ranks(folder_of(lab), 2) as team:
        run_id = two_of_a_run(team)
        victim, other = team
        victim.ask("die_at", point)
        if not killed_first:
            other.ask("leave", "Canceled")
        victim.begin("leave", "Completed")
        if killed_first and point >= 6:  # It left for good before: the other one is there.
            assert not victim.answer()
            victim.kill()
        else:
            victim.died()
        if killed_first:
            other.ask("leave", "Canceled")
        settle(handle_of(lab.get_run(run_id)))
        left = point >= 3  # After the outcome was written.
        assert ends_of(lab, run_id) == ["Canceled" if left else "Failed"]


def test_the_error_of_a_process_that_ends_is_cut_to_what_the_log_takes(
    folder_ws: Workspace,
) -> None:
    run = start(Experiment(folder_ws, "e"))
    error = {"code": "UserError", "message": "x" * 3_000_000 + "\ud800 the end"}
    assert leave(handle_of(run), Status.FAILED, error)
    told = run.get_details()["error"]["error"]["message"]
    assert told.endswith("? the end")
    assert len(told) == 100_000


@processes
def test_an_outcome_in_an_erasable_workspace_is_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    Workspace.create("lab", path=folder, erasable=True).close()
    with ranks(folder, 2) as team:
        run_id = two_of_a_run(team)
        team[0].ask("leave", "Failed", "a secret")
        parts = (folder / WRITERS / RUNS / run_id).iterdir()
        (path,) = [path for path in parts if b"a secret" in path.read_bytes()]
        with path.open("rb") as file:
            team[1].ask("leave", "Completed")
            assert not path.exists() and set(file.read()) == {0}


def test_the_script_of_a_submitted_run_neither_takes_part_nor_ends_it(
    folder_ws: Workspace,
) -> None:
    other = handle_of(start(Experiment(folder_ws, "e")))
    submitted = RunHandle(other.session, "submitted")
    command = CreateRun(
        run_id="submitted",
        experiment_id=other.state.experiment_id,
        experiment_name="e",
        status=Status.QUEUED,
        root_id="submitted",
    )
    submitted.create(command, [RunSubmitted(definition={"script": "train.py"})])
    run = folder_ws.get_run("submitted")
    run.log("loss", 0.5)
    run.flush()
    assert not leave(handle_of(run), Status.COMPLETED)
    assert_no_parts(folder_of(folder_ws))
    assert submitted.refresh() is not None
    assert submitted.state.status is Status.QUEUED


@processes
def test_a_loss_that_was_recorded_while_a_process_left_stays(
    lab: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one that left at the same moment saw its outcome, and the death of a third one."""
    with ranks(folder_of(lab), 2) as (first, second):
        run_id = first.ask("create")
        second.ask("join", run_id)
        run = lab.get_run(run_id)
        handle_of(run).join()
        first.kill()
        patched = "runlore.engine.runs.leaving.others_in"

        def after_the_other_ended_it(*args: object, **options: object) -> object:
            monkeypatch.setattr(patched, others_in)
            others = others_in(*args, **options)  # type: ignore[arg-type]  # handed on
            since = session_of(lab).writable().participation.since(run_id) or 0
            outcome = Outcome(Status.COMPLETED, None, time.time_ns() // 1_000)
            part = Part(session_of(lab).journal.writer_id, since, outcome=outcome)
            keep_outcome(hold(folder_of(lab)), run_id, part)
            assert second.ask("leave", "Completed")
            return others

        monkeypatch.setattr(patched, after_the_other_ended_it)
        assert leave(handle_of(run), Status.COMPLETED)
        assert ends_of(lab, run_id) == ["Failed"]
        assert run.get_details()["error"]["error"]["code"] == LOST


@processes
def test_a_process_that_joins_while_the_only_other_one_leaves_ends_the_run(
    lab: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ranks(folder_of(lab), 1) as (other,):
        run = start(Experiment(lab, "e"))
        patched = "runlore.engine.runs.leaving.others_in"

        def before_the_other_joins(*args: object, **options: object) -> object:
            monkeypatch.setattr(patched, others_in)
            nobody = others_in(*args, **options)  # type: ignore[arg-type]  # handed on
            other.ask("join", run.id)
            return nobody

        monkeypatch.setattr(patched, before_the_other_joins)
        assert not leave(handle_of(run), Status.COMPLETED)
        assert other.ask("leave", "Completed")
        assert ends_of(lab, run.id) == ["Completed"]


@processes
def test_the_last_values_of_a_process_that_left_do_not_undo_a_loss(
    lab: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has said how it left, and ends nothing any more: the run would stay Running for ever."""
    with ranks(folder_of(lab), 2) as (first, second):
        run_id = two_of_a_run([first, second])
        run = lab.get_run(run_id)
        run.log("loss", 0.5)
        run.flush()
        first.kill()
        look = leaving._settle

        def then_the_other_ends_it(*args: object) -> bool:
            ended = look(*args)  # type: ignore[arg-type]  # handed on
            assert second.ask("leave", "Completed")
            run.log("loss", 0.25)
            return ended

        monkeypatch.setattr(leaving, "_settle", then_the_other_ends_it)
        leave(handle_of(run), Status.COMPLETED)
        run.log("loss", 0.125)
        run.flush()
        assert ends_of(lab, run_id) == ["Failed"]
        assert lab.get_run(run_id).get_status() == "Failed"
        assert run.get_metrics() == {"loss": [0.5, 0.25, 0.125]}
        assert_no_parts(folder_of(lab))


@processes
def test_values_after_leaving_leave_the_outcome_as_it_is(lab: Workspace) -> None:
    with ranks(folder_of(lab), 1) as (other,):
        run_id = other.ask("create")
        run = lab.get_run(run_id)
        run.log("loss", 0.5)
        assert not leave(handle_of(run), Status.FAILED, {"code": "UserError", "message": "boom"})
        run.log("loss", 0.25)
        run.flush()
        assert other.ask("leave", "Completed")
        assert ends_of(lab, run_id) == ["Failed"]


@processes
def test_an_outcome_is_shown_when_all_values_are_written(
    lab: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ranks(folder_of(lab), 1) as (other,):
        run = lab.get_run(other.ask("create"))
        run.log("loss", 0.5)

        def then_the_other_ends_it(*args: object) -> None:
            show_outcome(*args)  # type: ignore[arg-type]  # handed on
            assert other.ask("leave", "Completed")

        monkeypatch.setattr(leaving, "show_outcome", then_the_other_ends_it)
        leave(handle_of(run), Status.COMPLETED)
        assert [change.what for change in run.history()][-2:] == ["values_logged", "completed"]
