"""Settings of Ray targets, and the meaning of a job's states, against a web server that is a stub.

tests/ray has a real head.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runlore import ComputeTarget, Workspace
from runlore.exceptions import ComputeTargetException
from runlore.execution.targets.engines.engine import EngineUnavailable, Job, JobState, Phase
from runlore.execution.targets.engines.ray import Ray
from tests.web_server import Server, says

ADDRESS = "http://ray-head:8265"
JOB = Job(run_id="r1", name="runlore-r1-abc", words=("python", "-m", "x y"), environment={})
QUOTED = (
    "Job entrypoint command failed with exit code 127, last available logs (truncated to 20,000 "
    "chars):\n2026-12-01\tINFO -- Runtime env is setting up.\n"
    "/bin/sh: 1: exec: python9: not found\n"
    "Running entrypoint for job a: exec python9 -m runlore.entry.job\n"
)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def engine(server: Server) -> Ray:
    return Ray(Ray.checked({"address": f"http://127.0.0.1:{server.server_port}"}))


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (
            {"status": "PENDING", "message": "Job has not started yet."},
            JobState(Phase.WAITING, "Job has not started yet."),
        ),
        (
            {"status": "RUNNING", "message": "Job is currently running."},
            JobState(Phase.EXECUTING, "Job is currently running."),
        ),
        (
            {"status": "SUCCEEDED", "message": "Job finished.", "driver_exit_code": 0},
            JobState(Phase.ENDED, "its command ended with exit code 0"),
        ),
        (
            {"status": "STOPPED", "message": "Job was intentionally stopped."},
            JobState(Phase.ENDED, "Job was intentionally stopped.", canceled=True),
        ),
        (
            {"status": "FAILED", "message": QUOTED, "driver_exit_code": 127}
            | {"error_type": "JOB_ENTRYPOINT_COMMAND_ERROR"},
            JobState(
                Phase.ENDED,
                "its command ended with exit code 127: /bin/sh: 1: exec: python9: not found",
            ),
        ),
        (
            {"status": "FAILED", "message": "Job supervisor actor died: The node died.\nmore"}
            | {"error_type": "JOB_SUPERVISOR_ACTOR_DIED"},
            JobState(Phase.ENDED, "Job supervisor actor died: The node died.", "NodeFailed"),
        ),
        (
            {"status": "FAILED", "message": "failed to start within 900.0 seconds."}
            | {"error_type": "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"},
            JobState(Phase.ENDED, "failed to start within 900.0 seconds.", "NoResources"),
        ),
        (
            {"status": "FAILED", "message": "runtime_env setup failed: no torch"}
            | {"error_type": "RUNTIME_ENV_SETUP_FAILURE"},
            JobState(Phase.ENDED, "runtime_env setup failed: no torch", "RuntimeEnvironmentFailed"),
        ),
        (
            {"status": "FAILED", "message": None, "error_type": "SOMETHING_NEW"},
            JobState(Phase.ENDED, ""),
        ),
    ],
    ids=[
        *("pending", "running", "succeeded", "stopped", "failed", "node-died", "no-resources"),
        *("runtime-env", "new-type"),
    ],
)
def test_rays_states_become_ours(
    answer: dict[str, Any], state: JobState, server: Server, engine: Ray
) -> None:
    server.answers = [says(200, {"submission_id": "a", **answer})]

    assert engine.poll("a") == state


def test_a_job_that_ray_does_not_know_is_unknown(server: Server, engine: Ray) -> None:
    server.answers = [says(404, "Job a does not exist")]

    assert engine.poll("a").phase is Phase.UNKNOWN


def test_a_head_that_does_not_answer_leaves_everything_open(server: Server, engine: Ray) -> None:
    server.answers = [503, 503, 503]

    for ask in (engine.poll, engine.cancel, engine.find):
        with pytest.raises(EngineUnavailable):
            ask("a")


def test_a_job_holds_what_anyone_may_see_and_nothing_else(server: Server) -> None:
    settings = {"cpus": 2, "gpus": 0.5, "memory_gb": 1.5, "resources": {"tpu": 1}}
    address = f"http://127.0.0.1:{server.server_port}"
    engine = Ray(Ray.checked({"address": address, "runtime_env": {"pip": ["torch"]}, **settings}))
    job = Job(
        run_id="r1",
        name="runlore-" + "r" * 300,
        words=JOB.words,
        environment={"HF_TOKEN": "s3cr3t"},
        variables={"A": "1", "PYTHONPATH": "src", "RUNLORE_RUN_ID": "r2", "RAY_ADDRESS": "auto"},
    )
    server.answers = [taken]

    handle = engine.submit(job)

    [(_, _, _, document)] = server.requests
    attempt = document["metadata"].pop("runlore_attempt")
    assert handle == document.pop("submission_id")
    assert handle.endswith(attempt)
    assert len(handle) < 200
    assert document == {
        "entrypoint": "exec python -m 'x y'",
        "runtime_env": {"pip": ["torch"], "env_vars": {"A": "1"}},
        "metadata": {"runlore_name": job.name},
        "entrypoint_num_cpus": 2,
        "entrypoint_num_gpus": 0.5,
        "entrypoint_memory": 1_500_000_000,
        "entrypoint_resources": {"tpu": 1},
    }


def taken(handler: Any) -> None:
    """Ray's answer to a job that it takes."""
    [(_, _, _, document)] = handler.server.requests
    answer = says(200, {"submission_id": document["submission_id"]})
    assert callable(answer)
    answer(handler)


def test_the_newest_job_of_a_run_is_found_by_its_name(server: Server, engine: Ray) -> None:
    def job(number: int, name: str) -> dict[str, Any]:
        return {"submission_id": f"job-{number}", "status": "RUNNING", "start_time": number} | {
            "metadata": {"runlore_name": name, "runlore_attempt": str(number)}
        }

    jobs = [job(2, "mine"), job(3, "mine"), job(4, "other"), {"status": 7}, None, job(1, "mine")]
    server.answers = [says(200, jobs), says(200, [])]

    assert engine.find("mine") == "job-3"
    assert engine.find("mine") is None


def test_a_process_of_a_job_knows_its_handle(engine: Ray) -> None:
    config = json.dumps({"metadata": {"job_submission_id": "runlore-r1-0"}})

    assert engine.own_handle({"RAY_JOB_CONFIG_JSON_ENV_VAR": config}) == "runlore-r1-0"
    for other in ("", "[", "[]", '{"metadata": null}', '{"metadata": {"job_submission_id": 1}}'):
        assert engine.own_handle({"RAY_JOB_CONFIG_JSON_ENV_VAR": other}) is None
    assert engine.own_handle({}) is None


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({}, "address cannot be used: it takes the URL"),
        ({"address": "ray://head:10001"}, "not an http:// or https:// URL"),
        ({"address": ADDRESS, "partition": "a"}, "no setting 'partition'; it takes address, cpus"),
        ({"address": ADDRESS, "gpus": -1}, "gpus is -1; it takes a number from 0"),
        ({"address": ADDRESS, "cpus": "two"}, "cpus is 'two'"),
        ({"address": ADDRESS, "cpus": True}, "cpus is True"),
        ({"address": ADDRESS, "cpus": float("nan")}, "cpus is nan"),
        ({"address": ADDRESS, "memory_gb": "8"}, "memory_gb is '8'"),
        ({"address": ADDRESS, "resources": ["tpu"]}, "a dict of Ray's custom resources"),
        ({"address": ADDRESS, "resources": {"tpu": None}}, r"resources\['tpu'\] is None"),
        ({"address": ADDRESS, "runtime_env": "pip"}, "runtime_env is 'pip'; it takes a dict"),
        ({"address": ADDRESS, "runtime_env": {"env_vars": {}}}, "environment_variables"),
        ({"address": ADDRESS, "runtime_env": {"working_dir": "."}}, "source_directory"),
        ({"address": ADDRESS, "runtime_env": {"pip": object()}}, "runtime_env is not JSON"),
        (
            {"address": ADDRESS}
            | {"runtime_env": {"pip": ["torch", "--index-url https://me:pw@host/simple"]}},
            "looks like a secret",
        ),
    ],
)
def test_a_setting_that_cannot_be_used_says_why(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ComputeTargetException, match=match):
        Ray.checked(settings)


@pytest.mark.parametrize("settings", [{}, {"address": 7}, {"address": ADDRESS, "cpus": None}])
def test_settings_of_a_log_that_make_no_sense_are_refused_when_they_are_used(
    settings: dict[str, Any],
) -> None:
    with pytest.raises(ComputeTargetException):
        Ray(settings)


def test_a_run_gets_one_cpu_if_nothing_else_is_asked_for() -> None:
    assert Ray.checked({"address": f"{ADDRESS}/"}) == {
        "address": ADDRESS,
        "cpus": 1.0,
        "gpus": 0.0,
        "memory_gb": None,
        "resources": {},
        "runtime_env": {},
    }


def test_more_than_one_node_is_refused_with_the_way_out(engine: Ray) -> None:
    with pytest.raises(ComputeTargetException, match="let the script start Ray tasks or actors"):
        engine.check(Job(run_id="r1", name="n", words=(), environment={}, node_count=2))


def test_a_folder_as_a_workspace_is_refused_with_the_way_to_postgresql(tmp_path: Path) -> None:
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        with pytest.raises(ComputeTargetException, match="runlore workspace copy .*postgresql://"):
            ComputeTarget.attach(ws, "rays", type="ray", address=ADDRESS)

        assert list(ws.compute_targets) == ["local"]
