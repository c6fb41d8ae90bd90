"""What a run on Slurm gets, and what others see of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from runlore import ComputeTarget, Experiment, Run, ScriptRunConfig, Workspace
from runlore.exceptions import ComputeTargetException, ExperimentExecutionException
from runlore.testing.submitted import (
    STAYS,
    Project,
    folder_of,
    printed,
    statuses_of,
    supervisors_of,
    wait_for_status,
    wait_until_ready,
)
from runlore.testing.waiting import wait_until
from runlore.workspace import session_of
from tests.slurm.jobs import attach, job_of, slurm_says
from tests.targets import parent_with_children

pytestmark = pytest.mark.processes

SECRET = "correct-horse-battery-staple"


def test_the_articles_parent_submits_its_children_from_inside_its_job(tmp_path: Path) -> None:
    ws = Workspace.create("lab", path=tmp_path / "lab")
    ComputeTarget.attach(ws, "gpu-cluster", type="slurm", this_machine=True)

    runs = parent_with_children(ws, tmp_path)

    assert len({job_of(run) for run in runs}) == 4


def test_nobody_else_sees_a_secret_of_a_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBMITTERS_TOKEN", f"{SECRET}-1")
    attach(project)
    code = "import os, sys\nprint(os.environ['SUBMITTERS_TOKEN'], os.environ['API_KEY'], sys.argv)"
    with pytest.warns(UserWarning, match="API_KEY"):
        run = project.submit(
            f"{code}\n{STAYS}", "--api-key", f"{SECRET}-3", variables={"API_KEY": f"{SECRET}-2"}
        )
    wait_until_ready(run)
    job = job_of(run)
    [handed] = Path(os.environ["RUNLORE_CACHE_DIR"], "handover").glob("*.json")

    shown = slurm_says("scontrol", "show", "job", "--details", job)
    batch = slurm_says("scontrol", "write", "batch_script", job, "-")
    lines = [
        " ".join(process.info["cmdline"] or ())
        for process in psutil.process_iter(["cmdline", "pid"])
        if "--api-key" not in (process.info["cmdline"] or ())
    ]

    assert all(f"{SECRET}-{number}" in printed(run) for number in (1, 2, 3))
    assert "runlore.entry.job" in batch
    for text in (shown, batch, *lines):
        assert SECRET not in text
    assert handed.stat().st_mode & 0o777 == 0o600
    assert SECRET in handed.read_text()
    log = session_of(project.ws).require_files() / "log.sqlite"
    assert SECRET.encode() not in log.read_bytes()
    run.cancel()
    wait_for_status(run, "Canceled")
    wait_until(lambda: not handed.exists(), "the environment to be removed")


def test_a_queued_run_that_is_canceled_leaves_no_environment_behind(project: Project) -> None:
    attach(project, extra_args=["--hold"])
    run = project.submit("print('never')")
    folder = Path(os.environ["RUNLORE_CACHE_DIR"], "handover")
    assert len(list(folder.iterdir())) == 1

    run.cancel()

    assert list(folder.iterdir()) == []


def test_nodes_are_allocated_as_the_configuration_says(project: Project) -> None:
    attach(project, partition="two")
    config = project.config(
        """
        import os, subprocess
        print(os.environ["SLURM_JOB_NUM_NODES"], flush=True)
        subprocess.run(["srun", "sh", "-c", "echo $SLURMD_NODENAME"], check=True)
        """
    )
    config.run_config.node_count = 2

    run = project.exp.submit(config)
    run.wait_for_completion()

    assert sorted(printed(run).split()) == ["2", "n1", "n2"]


def test_ranks_on_several_nodes_are_refused_and_nothing_is_recorded(project: Project) -> None:
    attach(project, partition="two")
    config = project.config("pass")
    config.run_config.node_count = 2
    config.run_config.framework = "PyTorch"
    config.run_config.communicator = "Nccl"

    with pytest.raises(ComputeTargetException, match="starts all processes .* on one node"):
        project.exp.submit(config)

    assert list(project.exp.get_runs()) == []


def test_what_slurm_refuses_fails_the_run_in_slurms_words(project: Project) -> None:
    attach(project, gpus=4)

    with pytest.raises(ExperimentExecutionException, match="slurm refused the job: sbatch: error"):
        project.submit("pass")

    [run] = project.exp.get_runs()
    assert statuses_of(run) == ["NotStarted", "Queued", "Failed"]
    assert run.get_details()["error"]["error"]["code"] == "SupervisorNotStarted"


def test_a_runs_own_limit_comes_before_that_of_its_job(project: Project) -> None:
    attach(project)
    config = project.config(STAYS)
    config.run_config.max_run_duration_seconds = 2
    run = project.exp.submit(config)
    shown = slurm_says("scontrol", "show", "job", job_of(run))

    run.wait_for_completion()

    assert "TimeLimit=00:02:00" in shown
    assert run.get_status() == "Canceled"
    assert "max_run_duration_seconds=2" in run.get_details()["warnings"][0]["message"]


def test_a_supervisor_that_cannot_begin_fails_its_run_with_its_last_words(
    project: Project, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho there is no such module\nexit 1\n")
    python.chmod(0o755)
    attach(project, python=str(python))

    run = project.submit("pass")
    wait_for_status(run, "Failed")

    error = run.get_details()["error"]["error"]
    assert error["code"] == "SupervisorNotStarted"
    assert "there is no such module" in error["message"]


def test_a_folder_as_a_workspace_is_refused_with_the_way_to_postgresql(project: Project) -> None:
    with pytest.raises(ComputeTargetException, match=r"runlore workspace copy .*postgresql://"):
        ComputeTarget.attach(project.ws, "slurm", type="slurm")

    assert list(project.ws.compute_targets) == ["local"]


class Shared:
    """A workspace in PostgreSQL whose files are in a folder that all hosts see."""

    def __init__(self, ws: Workspace, source: Path) -> None:
        self.ws = ws
        self.exp = Experiment(ws, "explore-runs")
        self.source = source

    def submit(self, code: str, **settings: Any) -> Any:
        """Submit the code to a target with these settings."""
        ComputeTarget.attach(self.ws, "slurm", type="slurm", **settings)
        (self.source / "train.py").write_text(code)
        config = ScriptRunConfig(str(self.source), "train.py", compute_target="slurm")
        return self.exp.submit(config)


@pytest.fixture
def shared(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shared]:
    monkeypatch.setenv("RUNLORE_SPOOL_DIR", str(tmp_path / "submitter"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    schema = f"test_{os.urandom(8).hex()}"
    for name in ("source", "artifacts", "config/runlore"):
        (tmp_path / name).mkdir(parents=True)
    with Workspace.create("team", path=server.uri(schema)) as ws:
        folders = {session_of(ws).workspace.workspace_id: str(tmp_path / "artifacts")}
    settings = tmp_path / "config" / "runlore" / "config.json"
    settings.write_text(json.dumps({"artifacts": folders}))
    with Workspace.open(server.uri(schema)) as ws:
        yield Shared(ws, tmp_path / "source")


def test_another_host_executes_a_run_of_a_workspace_in_postgresql(shared: Shared) -> None:
    run = shared.submit(
        """
import os
from runlore import Run
run = Run.get_context()
run.log("loss", 0.5)
os.makedirs("outputs", exist_ok=True)
open("outputs/model.txt", "w").write("weights")
print(os.environ["RUNLORE_SPOOL_DIR"])
"""
    )
    run.wait_for_completion()

    assert printed(run).strip().endswith("/n1")
    # A reader here removes what the submission has left here.
    wait_until(
        lambda: any(shared.exp.get_runs()) and not folder_of(run).exists(), "its folder to be gone"
    )
    assert run.get_metrics() == {"loss": 0.5}
    run.download_file("outputs/model.txt", str(shared.source / "copy"))
    assert (shared.source / "copy").read_text() == "weights"


def supervisor_of(run: Run) -> psutil.Process:
    """The process that Slurm has started, without its leash."""
    [found] = [
        process
        for process in supervisors_of(run.id)
        if (parent := process.parent()) is not None and parent.name() == "slurmstepd"
    ]
    return found


def test_a_silent_supervisor_is_not_responding_then_lost_and_comes_back(shared: Shared) -> None:
    run = shared.submit(f"print('first')\n{STAYS}", heartbeat_s=1)
    wait_for_status(run, "Running")
    supervisor = supervisor_of(run)
    supervisor.suspend()

    wait_for_status(run, "NotResponding")
    wait_for_status(run, "Failed")
    assert run.get_details()["error"]["error"]["code"] == "RunLost"
    supervisor.resume()
    wait_for_status(run, "Running")

    run.cancel()
    assert run.get_status() == "Canceled"


def test_a_supervisor_killed_on_another_host_is_lost_when_it_was_silent(shared: Shared) -> None:
    run = shared.submit(STAYS, heartbeat_s=1)
    wait_for_status(run, "Running")
    supervisor_of(run).kill()

    wait_for_status(run, "Failed")

    error = run.get_details()["error"]["error"]
    assert error["code"] == "RunLost"
    assert f"job {job_of(run)} of slurm is over" in error["message"]
