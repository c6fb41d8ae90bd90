"""Runs of killed processes are lost as soon as somebody looks; those of living ones never."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runlore import Workspace
from runlore.engine import session as sessions
from runlore.storage.held_path import hold
from runlore.storage.participants import keep_outcome, parts_of
from runlore.storage.writers import Life, states_in
from tests.engine.exits.programs import START, run_program
from tests.fresh_python import LIMIT_S, WITHOUT_ROOTS_POWERS, race, run_python, without_settings
from tests.ranks import folder_of, lab, ranks
from tests.workspaces import project

pytestmark = pytest.mark.processes
__all__ = ["lab", "project"]


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session looks at the writers with each read."""
    monkeypatch.setattr(sessions, "_LOOK_INTERVAL_S", 0.0)


def lives_in(folder: Path) -> list[Life]:
    return [state.life for state in states_in(hold(folder)).values()]


def status_in_sql(workspace: Workspace, run_id: str) -> str:
    ((status,),) = workspace.sql("SELECT status FROM runs WHERE run_id = ?", [run_id]).fetchall()
    return str(status)


def test_whoever_opens_the_workspace_records_the_loss(tmp_path: Path, lab: Workspace) -> None:
    folder = folder_of(lab)
    with ranks(folder, 1) as (rank,):
        run_id = rank.ask("create")
        rank.ask("log", "loss", 0.5, False)
        rank.kill()
        with Workspace.open(folder) as other:
            events = [event.topic for event in other.events() if run_id in event.stream]
            assert events[-2:] == ["run.values_logged", "run.lost"]  # The values come first.
            assert other.get_run(run_id).get_metrics() == {"loss": 0.5}
            assert status_in_sql(other, run_id) == "Failed"
    assert Life.DEAD not in lives_in(folder)


@pytest.mark.parametrize(
    "status",
    [
        lambda ws, run_id: ws.get_run(run_id).get_status(),
        status_in_sql,
        lambda ws, run_id: next(ws.experiments["e"].get_runs()).get_status(),
    ],
    ids=["of one run", "in SQL", "in a list"],
)
def test_who_has_the_workspace_open_notices_the_loss(
    lab: Workspace, status: Callable[[Workspace, str], str]
) -> None:
    with ranks(folder_of(lab), 1) as (rank,):
        run_id = rank.ask("create")
        rank.ask("log", "loss", 0.5)
        assert status(lab, run_id) == "Running"
        rank.kill()
        assert status(lab, run_id) == "Failed"


def test_a_run_is_lost_with_the_last_of_its_processes(lab: Workspace) -> None:
    with ranks(folder_of(lab), 2) as (first, second):
        run_id = first.ask("create")
        second.ask("join", run_id)
        first.kill()
        assert lab.get_run(run_id).get_status() == "Running"
        second.kill()
        run = lab.get_run(run_id)
        assert run.get_status() == "Failed"
        assert run.get_details()["error"]["error"]["code"] == "RunLost"


def test_a_stopped_process_is_alive(lab: Workspace) -> None:
    with ranks(folder_of(lab), 1) as (rank,):
        run_id = rank.ask("create")
        rank.ask("log", "loss", 0.5)
        os.kill(rank.pid, signal.SIGSTOP)
        assert lab.get_run(run_id).get_status() == status_in_sql(lab, run_id) == "Running"
        os.kill(rank.pid, signal.SIGCONT)


@pytest.mark.parametrize("hours", [1, 24 * 365, -1])
def test_a_clock_that_jumps_and_a_long_silence_say_nothing(
    lab: Workspace, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    with ranks(folder_of(lab), 1) as (rank,):
        run_id = rank.ask("create")
        for name in ("time", "time_ns", "monotonic", "monotonic_ns"):
            unit = 10**9 if name.endswith("_ns") else 1
            real = getattr(time, name)
            later = max(hours, 0) if name.startswith("monotonic") else hours
            jumped = lambda real=real, by=later * 3600 * unit: real() + by  # noqa: E731
            monkeypatch.setattr(time, name, jumped)
        assert lab.get_run(run_id).get_status() == status_in_sql(lab, run_id) == "Running"
        rank.ask("log", "loss", 0.5)
        assert lab.get_run(run_id).get_metrics() == {"loss": 0.5}


def test_a_folder_that_may_only_be_read_shows_the_loss(tmp_path: Path, lab: Workspace) -> None:
    folder = folder_of(lab)
    lab.close()
    with ranks(folder, 1) as (rank,):
        run_id = rank.ask("create")
        rank.ask("log", "loss", 0.5)
        rank.kill()
        before = (folder / "log.sqlite").read_bytes()
        seen = run_python(READ_ONLY, cwd=tmp_path, RUN=run_id)
        assert seen == "Failed RunLost\n"
        assert (folder / "log.sqlite").read_bytes() == before


def test_a_folder_that_may_only_be_read_shows_what_others_said_before_a_death(
    tmp_path: Path, lab: Workspace
) -> None:
    folder = folder_of(lab)
    lab.close()
    with ranks(folder, 2) as (first, second):
        run_id = first.ask("create")
        second.ask("join", run_id)
        assert not second.ask("leave", "Failed", "boom")
        first.kill()
        assert run_python(READ_ONLY, cwd=tmp_path, RUN=run_id) == "Failed UserError\n"


READ_ONLY = f"""
{WITHOUT_ROOTS_POWERS}
import os, pathlib
obey_file_modes()
for path in (pathlib.Path("lab"), *pathlib.Path("lab").rglob("*")):
    path.chmod(0o555 if path.is_dir() else 0o444)
import runlore
run = runlore.Workspace.open("lab").get_run(os.environ["RUN"])
print(run.get_status(), run.get_details()["error"]["error"]["code"])
"""


def test_it_is_recorded_once_by_many_who_look_at_once(project: Path) -> None:
    run_program(project, "os._exit(1)")
    code = """
import runlore
go()
ws = runlore.Workspace.open("lab")
print(ws.get_run("r").get_status())
"""
    assert race(code, 4, cwd=project) == ["Failed\n"] * 4
    with Workspace.open("lab") as ws:
        topics = [event.topic for event in ws.events(stream="run/r")]
    assert topics.count("run.lost") == 1


def test_a_program_asks_a_training_to_stop_from_a_shell(project: Path) -> None:
    """`runlore run cancel` reaches a loop that looks at `should_stop`."""
    code = f"{START}print('ready', flush=True)\nwhile not run.should_stop:\n    time.sleep(0.05)\n"
    (project / "train.py").write_text(code)
    options: dict[str, Any] = {"cwd": project, "env": without_settings(os.environ), "text": True}
    command = [sys.executable, "train.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, **options) as training:
        try:
            assert training.stdout is not None and training.stdout.readline() == "ready\n"
            cancel = [sys.executable, "-m", "runlore.cli", "run", "cancel", "-r", "r", "-w", "lab"]
            asked = subprocess.run(cancel, capture_output=True, check=True, **options)
            assert "CancelRequested" in asked.stdout
            assert training.wait(LIMIT_S) == 0
        finally:
            training.kill()
    with Workspace.open("lab") as ws:
        assert ws.get_run("r").get_status() == "Canceled"


def test_a_lock_file_goes_when_all_of_its_writer_is_settled(lab: Workspace) -> None:
    with ranks(folder_of(lab), 1) as (rank,):
        run_id = rank.ask("create")
        rank.kill()
    assert lives_in(folder_of(lab)) == [Life.DEAD]
    assert lab.get_run(run_id).get_status() == "Failed"
    assert lives_in(folder_of(lab)) == [Life.ALIVE]  # This process, which wrote the loss.


def test_a_run_that_all_left_is_ended_by_whoever_comes(lab: Workspace) -> None:
    """As if the last two had left at one moment, and neither of them had seen it."""
    with ranks(folder_of(lab), 2) as team:
        run_id = team[0].ask("create")
        team[1].ask("join", run_id)
        assert not team[0].ask("leave", "Canceled")
        part = parts_of(hold(folder_of(lab)), run_id)
        left = next(one for one in part.values() if one.outcome is not None)
        joined = next(one for one in part.values() if one.outcome is None)
        keep_outcome(hold(folder_of(lab)), run_id, joined._replace(outcome=left.outcome))
        for rank in team:
            rank.close()
        with Workspace.open(folder_of(lab)) as other:
            assert other.get_run(run_id).get_status() == "Canceled"
