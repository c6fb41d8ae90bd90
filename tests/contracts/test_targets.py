"""The targets that runlore brings pass the contract suite, and other packages can bring more."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import pytest

from runlore import ComputeTarget, Workspace
from runlore.exceptions import ComputeTargetException
from runlore.execution.targets.local import LocalTarget
from runlore.storage.held_path import hold
from runlore.storage.run_folder import RunFolder
from runlore.testing.submitted import (
    STAYS,
    Project,
    printed,
    supervisors_of,
    wait_for_status,
    wait_until_ready,
)
from runlore.testing.targets import TargetContract
from tests.fresh_python import run_python
from tests.processes import wait_until

pytestmark = pytest.mark.processes


class TestLocal(TargetContract):
    def attach(self, workspace: Workspace) -> str:
        return "local"


@pytest.mark.long
class TestPool(TargetContract):
    waits_in_a_queue = True
    grace_s = 0.5

    def attach(self, workspace: Workspace) -> str:
        ComputeTarget.attach(workspace, "pool", slots=2, grace_s=self.grace_s)
        return "pool"


@pytest.mark.long
class TestEngine(TargetContract):
    """The contract of all engines, with one whose jobs are processes of this machine."""

    waits_in_a_queue = True
    grace_s = 0.5

    @pytest.fixture(autouse=True)
    def _installed(
        self, another_package: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # For the processes of runs as well.
        root = Path(__file__).parents[2]
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}{os.pathsep}{root}")
        self.jobs = tmp_path / "jobs"
        self.jobs.mkdir()

    def attach(self, workspace: Workspace) -> str:
        ComputeTarget.attach(
            workspace,
            "cluster",
            type="processes",
            folder=str(self.jobs),
            this_machine=True,
            grace_s=self.grace_s,
        )
        return "cluster"


class TargetOfAnotherPackage(LocalTarget):
    """The class that an entry point of the group `runlore.targets` names."""

    kind = "elsewhere"


class RemoteTarget(TargetOfAnotherPackage):
    """A target that keeps nothing on this machine, and counts how often it is asked."""

    kind = "remote"
    settled: ClassVar[list[str]] = []
    asked: ClassVar[list[str]] = []

    def settle(self) -> None:
        self.settled.append(self.name)

    def is_alive(self, run_id: str) -> bool | None:
        self.asked.append(run_id)
        return True


class FaultyTarget(TargetOfAnotherPackage):
    kind = "faulty"

    def settle(self) -> None:
        raise RuntimeError("the cluster does not answer")

    def is_alive(self, run_id: str) -> bool | None:
        raise RuntimeError("the cluster does not answer")


@pytest.fixture
def another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed distribution with entry points for the targets above, and one to nowhere."""
    dist_info = tmp_path / "site" / "elsewhere-1.0.dist-info"
    dist_info.mkdir(parents=True)
    (dist_info / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (dist_info / "entry_points.txt").write_text(
        "[runlore.targets]\n"
        f"elsewhere = {__name__}:TargetOfAnotherPackage\n"
        f"remote = {__name__}:RemoteTarget\n"
        f"faulty = {__name__}:FaultyTarget\n"
        "processes = tests.engines:Processes\n"
        "broken = no_such_module:Target\n"
    )
    monkeypatch.syspath_prepend(dist_info.parent)


@pytest.mark.usefixtures("another_package")
def test_a_kind_that_cannot_be_loaded_says_why_and_leaves_the_others_alone(tmp_path: Path) -> None:
    project = Project(tmp_path, "cloud")

    with pytest.raises(ComputeTargetException, match=r"'broken' cannot be loaded .* install elsew"):
        ComputeTarget.attach(project.ws, "x", type="broken")
    assert ComputeTarget.attach(project.ws, "cloud", type="elsewhere").type == "elsewhere"


@pytest.mark.usefixtures("another_package")
def test_a_target_that_fails_does_not_keep_readers_from_reading(tmp_path: Path) -> None:
    project = Project(tmp_path, "cloud")
    ComputeTarget.attach(project.ws, "cloud", type="faulty")
    run = project.submit("print('hello')")

    run.wait_for_completion()
    with Workspace.open(project.ws.uri) as workspace:
        assert workspace.get_run(run.id).get_status() == "Completed"
        assert [found.id for found in project.exp.get_runs()] == [run.id]


@pytest.mark.usefixtures("another_package")
def test_a_target_elsewhere_is_not_asked_at_every_look_whether_a_run_is_alive(
    tmp_path: Path,
) -> None:
    project = Project(tmp_path, "cloud")
    ComputeTarget.attach(project.ws, "cloud", type="remote")
    run = project.submit(STAYS)
    wait_until_ready(run)
    for process in supervisors_of(run.id):
        process.kill()
    wait_until(lambda: not supervisors_of(run.id), "its supervisor to be gone")
    RunFolder(hold(tmp_path / "lab"), run.id).remove()
    RemoteTarget.asked.clear()

    statuses = {run.get_status() for _ in range(200)}

    assert statuses == {"Running"}
    assert 0 < len(RemoteTarget.asked) < 100


@pytest.mark.usefixtures("another_package")
def test_a_target_without_a_folder_here_is_asked_to_settle_by_readers(tmp_path: Path) -> None:
    workspace = Workspace.create("lab", path=tmp_path / "lab")
    ComputeTarget.attach(workspace, "cloud", type="remote")
    RemoteTarget.settled.clear()

    Workspace.open(workspace.uri).close()

    assert not (tmp_path / "lab" / "runs").exists()
    assert RemoteTarget.settled == ["cloud"]


@pytest.mark.usefixtures("another_package")
def test_a_kind_of_target_may_come_with_another_package(tmp_path: Path) -> None:
    project = Project(tmp_path, "cloud")

    target = ComputeTarget.attach(project.ws, "cloud", type="elsewhere")
    run = project.ended("print('hello')")

    assert target.type == "elsewhere"
    assert (run.get_status(), printed(run)) == ("Completed", "hello\n")
    with pytest.raises(
        ComputeTargetException, match="there are: local, pool, ray, slurm, broken, elsewh"
    ):
        ComputeTarget.attach(project.ws, "x", type="unknown")


@pytest.mark.usefixtures("another_package")
def test_a_reader_without_the_package_does_not_take_its_runs_for_lost(tmp_path: Path) -> None:
    project = Project(tmp_path, "cloud")
    ComputeTarget.attach(project.ws, "cloud", type="elsewhere")
    run = project.submit(STAYS)
    wait_until_ready(run)
    wait_for_status(run, "Running")  # Recorded beside the script.
    for process in supervisors_of(run.id):
        process.kill()

    seen = run_python(
        "import os, runlore\n"
        "ws = runlore.Workspace.open('lab')\n"
        "print(ws.get_run(os.environ['RUN_ID']).get_status())",
        cwd=tmp_path,
        RUN_ID=run.id,
    )

    assert seen == "Running\n"
    wait_for_status(run, "Failed")
