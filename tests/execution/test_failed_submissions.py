"""Submissions that go wrong on their way: the caller learns it, and nothing is left behind."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from runlore import ComputeTarget, Workspace
from runlore.domain.events import Event
from runlore.domain.run_commands import CreateRun
from runlore.engine.runs.handle import RunHandle
from runlore.exceptions import ExperimentExecutionException
from runlore.execution.handover import Orders
from runlore.storage.errors import DiskFull, LogBusy
from runlore.storage.run_folder import RunFolder
from runlore.testing.submitted import Project, printed, statuses_of
from runlore.workspace import session_of

pytestmark = pytest.mark.processes


@pytest.fixture(params=["local", "pool"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path, request.param)
    if project.target == "pool":
        ComputeTarget.attach(project.ws, "pool", slots=1)
    yield project
    project.ws.close()


@pytest.fixture
def folder(project: Project) -> RunFolder:
    """The folder of the run "hopeless"."""
    return RunFolder(session_of(project.ws).require_held(), "hopeless")


def open_files() -> list[str]:
    """The files that this process has open, without those that appear and disappear."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            continue
    return found


def test_a_supervisor_that_cannot_be_started_is_an_error_and_fails_the_run(
    project: Project, folder: RunFolder
) -> None:
    # A folder in the place of a file: nothing can be written there.
    folder.supervisor_log.plain.mkdir(parents=True)

    with pytest.raises(ExperimentExecutionException, match="supervisor could not be started"):
        project.exp.submit(project.config("pass"), run_id="hopeless")

    assert not folder.root.exists()
    assert not [path for path in open_files() if "supervisor.lock" in path]
    [failed] = project.exp.get_runs()
    assert statuses_of(failed)[-1] == "Failed"
    assert failed.get_details()["error"]["error"]["code"] == "SupervisorNotStarted"
    assert project.ended("pass").get_status() == "Completed"


def test_a_run_that_cannot_be_recorded_leaves_nothing_and_frees_its_id(
    project: Project, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = project.config("import os; print(os.environ['TRY'])")
    pools = folder.workspace.plain / "pools"

    for error in (DiskFull("no room"), KeyboardInterrupt()):

        def refuse(*_: object, error: BaseException = error) -> None:
            assert folder.is_locked()
            raise error

        config.run_config.environment_variables["TRY"] = f"{error!r}"
        with monkeypatch.context() as patched, pytest.raises(type(error)):
            patched.setattr(RunHandle, "create", refuse)
            project.exp.submit(config, run_id="hopeless")
        assert list(project.exp.get_runs()) == []
        assert not folder.root.exists()
        assert Orders(folder.workspace).of("hopeless") is None
        assert not list(pools.rglob("*hopeless*"))
        assert not [path for path in open_files() if "supervisor.lock" in path]

    config.run_config.environment_variables["TRY"] = "the last"
    run = project.exp.submit(config, run_id="hopeless")
    run.wait_for_completion()
    assert printed(run) == "the last\n"


def test_a_run_that_was_recorded_although_its_submitter_broke_off_is_taken_care_of(
    project: Project, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = RunHandle.create

    def then_break_off(run: RunHandle, command: CreateRun, events: Sequence[Event]) -> Any:
        create(run, command, events)
        raise LogBusy("no answer")

    with monkeypatch.context() as patched, pytest.raises(LogBusy):
        patched.setattr(RunHandle, "create", then_break_off)
        project.exp.submit(project.config("pass"), run_id="hopeless")

    with Workspace.open(project.ws.uri) as ws:  # Like any reader, it looks after the runs.
        run = ws.get_run("hopeless")
        if project.target == "pool":
            run.wait_for_completion()
        else:
            assert run.get_details()["error"]["error"]["code"] == "RunLost"


def test_an_id_that_another_submission_uses_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunFolder, "make_and_lock", lambda folder: None)

    with pytest.raises(ExperimentExecutionException, match="used by another submission; leave run"):
        project.exp.submit(project.config("pass"), run_id="taken")
