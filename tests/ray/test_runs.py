"""Runs on a real Ray head: every way in which they end, and what the cluster sees of them."""

from __future__ import annotations

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
    STUBBORN,
    WITH_GRANDCHILDREN,
    Project,
    printed,
    statuses_of,
    supervisors_of,
    wait_for_status,
    wait_until_gone,
    wait_until_ready,
)
from runlore.testing.waiting import wait_until
from tests.postgres.server import Server
from tests.ray.head import Head, running_head
from tests.targets import parent_with_children

pytestmark = pytest.mark.processes

GRACE_S = 0.5


def attached(project: Project, head: Head, name: str = "rays", **settings: Any) -> str:
    """Attach a target on the head to the project's workspace, and let the project use it."""
    given = {"this_machine": True, "grace_s": GRACE_S, **settings}
    ComputeTarget.attach(project.ws, name, type="ray", address=head.address, **given)
    project.target = name
    return name


@pytest.fixture
def project(tmp_path: Path, head: Head) -> Iterator[Project]:
    project = Project(tmp_path)
    attached(project, head)
    yield project
    for run in project.exp.get_runs(include_children=True):
        if run.get_status() not in ("Completed", "Failed", "Canceled"):
            run.cancel()
    project.ws.close()


@pytest.fixture
def own_head() -> Iterator[Head]:
    """A head that the test may harm."""
    with running_head() as head:
        yield head


def job_of(run: Run) -> str:
    """Ray's name for the run's job, once it has one."""
    placed = [change.new for change in run.history() if change.what == "placed"]
    return str(placed[-1])


def error_of(run: Run) -> dict[str, str]:
    error: dict[str, str] = run.get_details()["error"]["error"]
    return error


def ray_says(head: Head, run: Run) -> str:
    return str(head.ask(f"/api/jobs/{job_of(run)}")["status"])


# --- the seed -------------------------------------------------------------------------------------


def test_a_parent_submits_its_children_to_ray_from_inside_its_job(
    tmp_path: Path, head: Head
) -> None:
    ws = Workspace.create("lab", path=tmp_path / "lab")
    ComputeTarget.attach(ws, "gpu-cluster", type="ray", address=head.address, this_machine=True)

    runs = parent_with_children(ws, tmp_path)

    assert len({job_of(run) for run in runs}) == 4


def test_a_workspace_in_postgresql_needs_no_folder_in_common(
    tmp_path: Path, head: Head, server: Server
) -> None:
    ws = Workspace.create("lab", path=server.uri("ray_runs"))
    ComputeTarget.attach(ws, "rays", type="ray", address=head.address)
    (tmp_path / "train.py").write_text("import runlore\nrunlore.Run.get_context().log('x', 1)\n")

    config = ScriptRunConfig(str(tmp_path), "train.py", compute_target="rays")
    run = Experiment(ws, "explore-runs").submit(config)
    run.wait_for_completion()

    assert (run.get_status(), run.get_metrics()) == ("Completed", {"x": 1})
    ws.close()


# --- waiting --------------------------------------------------------------------------------------


def test_a_waiting_run_is_canceled_although_ray_lets_its_job_wait_on(
    project: Project, head: Head, tmp_path: Path
) -> None:
    attached(project, head, "all", cpus=4)
    first = project.submit(STAYS)
    wait_until_ready(first)
    started = tmp_path / "started"
    second = project.submit(f"open({str(started)!r}, 'w')")
    wait_until(lambda: ray_says(head, second) == "PENDING", "the second job to wait")

    second.cancel()

    assert second.get_status() == "Canceled"
    assert ray_says(head, second) == "PENDING"
    first.cancel()
    wait_until(lambda: ray_says(head, second) not in ("PENDING", "RUNNING"), "the job to end")
    assert not started.exists()
    assert statuses_of(second)[-2:] == ["Queued", "Canceled"]
    assert "change_refused" not in {change.what for change in second.history()}


def test_a_run_waits_while_ray_cannot_give_it_what_it_asks_for(
    project: Project, head: Head
) -> None:
    attached(project, head, "huge", gpus=1)

    run = project.submit("print('never')")

    wait_until(lambda: ray_says(head, run) == "PENDING", "the job to wait")
    assert run.get_status() == "Queued"
    run.cancel()
    assert run.get_status() == "Canceled"


# --- ends from outside ----------------------------------------------------------------------------


@pytest.mark.parametrize("code", [STAYS, STUBBORN], ids=["polite", "stubborn"])
def test_a_job_that_is_stopped_by_ray_cancels_its_run(
    code: str, project: Project, head: Head
) -> None:
    attached(project, head, "patient", grace_s=10)  # Ray itself waits for 3 s.
    run = project.submit("print('before', flush=True)\n" + code)
    wait_until_ready(run)

    head.stop_job(job_of(run))

    wait_for_status(run, "Canceled")
    wait_until_gone(run)
    assert "ended by ray" in str(run.get_details()["warnings"])
    wait_until(lambda: is_kept(run, "user_logs/std_log.txt"), "its log to be kept")
    assert printed(run).startswith("before\n")


def test_a_node_that_dies_fails_its_run_and_ends_its_processes(
    project: Project, head: Head
) -> None:
    head.add_node("second")
    attached(project, head, "seconds", resources={"second": 1})
    run = project.submit(WITH_GRANDCHILDREN)
    wait_until_ready(run)
    pids = [int(word) for word in printed(run).split()[:2]]

    head.kill_node(1)

    wait_for_status(run, "Failed")
    assert error_of(run)["code"] == "NodeFailed"
    assert job_of(run) in error_of(run)["message"]
    wait_until_gone(run, pids)


def test_a_run_is_lost_if_ray_itself_does_not_notice_that_its_node_is_dead(
    tmp_path: Path, own_head: Head
) -> None:
    project = Project(tmp_path)
    attached(project, own_head, heartbeat_s=0.5)
    run = project.submit(WITH_GRANDCHILDREN)
    wait_until_ready(run)
    pids = [int(word) for word in printed(run).split()[:2]]

    own_head.kill_node(0)  # With it dies the agent that looks after jobs.

    wait_for_status(run, "Failed")
    assert ray_says(own_head, run) == "RUNNING"
    assert error_of(run)["code"] == "RunLost"
    assert "NotResponding" in statuses_of(run)
    wait_until_gone(run, pids)


def test_a_head_that_is_restarted_does_not_know_its_jobs_any_more(
    tmp_path: Path, own_head: Head
) -> None:
    project = Project(tmp_path)
    attached(project, own_head)
    running = project.submit(STAYS)
    wait_until_ready(running)
    attached(project, own_head, "huge", gpus=1)
    waiting = project.submit("print('never')")
    wait_until(lambda: ray_says(own_head, waiting) == "PENDING", "the job to wait")

    own_head.stop()
    assert waiting.get_status() == "Queued"  # Nothing is known while nobody answers.
    own_head.start()

    wait_for_status(running, "Failed")
    wait_for_status(waiting, "Failed")
    assert error_of(running)["code"] == "RunLost"
    assert error_of(waiting)["code"] == "SupervisorNotStarted"
    for run in (running, waiting):
        assert "its head was restarted" in error_of(run)["message"]


def test_a_head_that_is_away_says_nothing_about_a_run_that_executes(
    tmp_path: Path, own_head: Head
) -> None:
    project = Project(tmp_path)
    attached(project, own_head)
    run = project.submit("import time\nprint('ready to be ended', flush=True)\ntime.sleep(3)\n")
    wait_until_ready(run)

    own_head.kill_dashboard()

    run.wait_for_completion()

    assert run.get_status() == "Completed"


def test_a_submission_to_a_head_that_is_away_fails_and_says_why(project: Project) -> None:
    ComputeTarget.attach(
        project.ws, "nobody", type="ray", address="http://127.0.0.1:9", this_machine=True
    )
    project.target = "nobody"

    with pytest.raises(ExperimentExecutionException, match="http://127.0.0.1:9 cannot be asked"):
        project.submit("print('never')")

    [run] = project.exp.get_runs()
    assert run.get_status() == "Failed"
    assert "Connection refused" in error_of(run)["message"]


def test_a_supervisor_that_cannot_start_fails_the_run_with_rays_reason(
    project: Project, head: Head
) -> None:
    attached(project, head, "elsewhere", python="/nowhere/python")

    run = project.ended("print('never')")

    assert run.get_status() == "Failed"
    assert error_of(run)["code"] == "SupervisorNotStarted"
    assert "exit code 127" in error_of(run)["message"]
    assert "/nowhere/python: not found" in error_of(run)["message"]


# --- what is asked for, and what is seen ----------------------------------------------------------


def test_what_ray_cannot_give_is_refused_before_anything_is_recorded(project: Project) -> None:
    config = project.config("print('never')")
    config.run_config.node_count = 2

    with pytest.raises(ComputeTargetException, match="node_count is 2; Ray starts a job on one"):
        project.exp.submit(config)

    assert list(project.exp.get_runs()) == []


def test_a_folder_as_a_workspace_is_refused_with_the_way_to_postgresql(
    tmp_path: Path, head: Head
) -> None:
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        with pytest.raises(ComputeTargetException, match="runlore workspace copy .*postgresql://"):
            ComputeTarget.attach(ws, "rays", type="ray", address=head.address)

        assert "rays" not in ws.compute_targets


def test_variables_reach_the_tasks_of_ray_as_well(project: Project) -> None:
    run = project.ended(
        """
        import json, os
        job = json.loads(os.environ["RAY_JOB_CONFIG_JSON_ENV_VAR"])
        print(os.environ["FROM_THE_CONFIG"], job["runtime_env"]["env_vars"]["FROM_THE_CONFIG"])
        """,
        variables={"FROM_THE_CONFIG": "set"},
    )

    assert printed(run) == "set set\n"


def test_nobody_sees_a_secret_on_the_cluster(
    project: Project, head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_THE_SUBMITTER", "inherited-value")
    with pytest.warns(UserWarning, match="HF_TOKEN, --api-key look like secrets"):
        run = project.submit(
            "import os, sys\nprint(os.environ['HF_TOKEN'], sys.argv[2])\n" + STAYS,
            *("--api-key", "s3cr3t-argument"),
            variables={"HF_TOKEN": "s3cr3t-variable"},
        )
    wait_until_ready(run)
    handed = handed_file_of(run)

    assert printed(run).startswith("s3cr3t-variable s3cr3t-argument\n")
    job = job_of(run)
    shown = [
        *map(head.text, ("/api/jobs/", f"/api/jobs/{job}", f"/api/jobs/{job}/logs")),
        *map(head.text, ("/api/v0/jobs?detail=1", "/api/v0/actors?detail=1")),
        *map(head.text, ("/api/v0/runtime_envs?detail=1", "/api/v0/workers?detail=1")),
        *(text for text in logs_of(head)),
    ]
    assert any(job in text for text in shown)
    for text in shown:
        assert "s3cr3t" not in text
        assert "inherited-value" not in text
    for process in psutil.process_iter():
        words = " ".join(words_of(process))
        assert "s3cr3t-variable" not in words
        assert "s3cr3t-argument" not in words or is_the_script(process)
    assert handed.stat().st_mode & 0o777 == 0o600
    run.cancel()
    wait_until(lambda: not handed.exists(), "the file with the environment to be gone")


def handed_file_of(run: Run) -> Path:
    return Path(supervisors_of(run.id)[0].cmdline()[-1])


def is_the_script(process: psutil.Process) -> bool:
    """The script itself, whose arguments its host's users see, as on every target."""
    return "train.py" in " ".join(words_of(process))


def words_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def logs_of(head: Head) -> Iterator[str]:
    """All that Ray writes into files."""
    for path in head.folder.rglob("*"):
        if path.is_file() and os.access(path, os.R_OK):
            yield path.read_bytes().decode(errors="replace")


def is_kept(run: Run, name: str) -> bool:
    list(run.experiment.get_runs())  # A reader keeps the files of runs that others ended.
    return name in run.get_file_names()


def test_two_runs_of_one_name_in_two_workspaces_are_two_jobs(
    project: Project, head: Head, tmp_path: Path
) -> None:
    other = Project(tmp_path / "other")
    attached(other, head)
    config, others = project.config("print('mine')"), other.config("print('other')")

    runs = [
        project.exp.submit(config, run_id="same"),
        other.exp.submit(others, run_id="same"),
    ]

    for run in runs:
        run.wait_for_completion()
    assert [printed(run) for run in runs] == ["mine\n", "other\n"]
    assert job_of(runs[0]) != job_of(runs[1])
    wait_until(lambda: not supervisors_of("same"), "both supervisors to end")
