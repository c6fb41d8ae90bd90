"""However Slurm ends a job, its run ends with what happened."""

from __future__ import annotations

import subprocess
import time

import pytest

from runlore.testing.submitted import (
    STAYS,
    STUBBORN,
    Project,
    folder_of,
    printed,
    statuses_of,
    supervisors_of,
    wait_for_status,
    wait_until_gone,
    wait_until_ready,
)
from runlore.testing.waiting import wait_until
from tests.slurm.jobs import ATTEMPTS, attach, error_of, job_of, slurm_says

pytestmark = pytest.mark.processes


def test_a_run_that_waits_is_canceled_and_so_is_its_job(project: Project) -> None:
    attach(project, extra_args=["--begin=now+1hour"])
    run = project.submit("print('never')")
    job = job_of(run)
    assert run.get_status() == "Queued"

    run.cancel()

    assert run.get_status() == "Canceled"
    assert slurm_says("squeue", "--noheader", f"--name=runlore-{run.id}") == ""
    assert job not in slurm_says("squeue", "--noheader", "--format=%A").split()
    assert not folder_of(run).exists()


@pytest.mark.parametrize("code", [STAYS, STUBBORN], ids=["polite", "stubborn"])
def test_a_job_that_is_canceled_by_hand_cancels_its_run(project: Project, code: str) -> None:
    attach(project)
    run = project.submit(code)
    wait_until_ready(run)

    slurm_says("scancel", job_of(run))

    wait_for_status(run, "Canceled")
    wait_until_gone(run)
    assert "canceled" in statuses_of(run)[-1].lower()


def test_a_waiting_job_that_is_canceled_by_hand_cancels_its_run(project: Project) -> None:
    attach(project, extra_args=["--begin=now+1hour"])
    run = project.submit("print('never')")

    slurm_says("scancel", job_of(run))

    wait_for_status(run, "Canceled")
    [warning] = run.get_details()["warnings"]
    assert "CANCELLED" in warning["message"]


def test_the_time_limit_of_slurm_fails_the_run_with_its_code(project: Project) -> None:
    attach(project, time_limit=1)
    run = project.submit(STAYS)
    wait_until_ready(run)

    wait_until(lambda: run.get_status() == "Failed", "the limit of a minute", limit_s=180)

    assert error_of(run)["code"] == "TimeLimit"
    assert "TIMEOUT" in error_of(run)["message"]
    assert printed(run) == "ready to be ended\n"


def test_a_job_that_is_put_back_waits_again_and_then_completes(project: Project) -> None:
    attach(project)
    run = project.submit(ATTEMPTS)
    wait_until_ready(run)

    slurm_says("scontrol", "requeue", job_of(run))

    wait_for_status(run, "Completed")
    begin = ["Starting", "Preparing", "Running"]
    assert statuses_of(run) == [
        *("NotStarted", "Queued", *begin),
        *("NotResponding", "Queued", *begin, "Finalizing", "Completed"),
    ]
    assert printed(run) == "attempt 0\nready to be ended\nattempt 1\n"


def test_a_job_that_uses_too_much_memory_fails_its_run_with_its_code(project: Project) -> None:
    attach(project, extra_args=["--mem=300M"])
    run = project.submit(
        """
        import time
        print("ready to be ended", flush=True)
        held = b'x' * 600 * 2**20
        time.sleep(600)
        """
    )

    wait_until(lambda: run.get_status() == "Failed", "the job to be killed", limit_s=90)

    assert error_of(run)["code"] == "OutOfMemory"


def test_a_run_whose_job_slurm_has_forgotten_is_lost(project: Project) -> None:
    attach(project)
    run = project.submit(STAYS)
    wait_until_ready(run)
    job = job_of(run)
    supervisors_of(run.id)[0].kill()

    def is_forgotten() -> bool:
        shown = ["scontrol", "show", "job", job]
        return subprocess.run(shown, capture_output=True, check=False).returncode != 0

    wait_until(is_forgotten, "Slurm to forget the job", limit_s=120)
    wait_for_status(run, "Failed")

    assert error_of(run)["code"] == "RunLost"
    assert "forgotten" in error_of(run)["message"]


def test_a_job_that_starts_after_its_run_was_failed_executes_nothing(project: Project) -> None:
    attach(project, extra_args=["--hold"])
    run = project.submit("open('executed', 'w').close()")
    job = job_of(run)
    run.fail("somebody gave up")

    subprocess.run(["scontrol", "release", job], check=False, capture_output=True)
    wait_until(lambda: job not in slurm_says("squeue", "-h", "-o", "%A").split(), "the job's end")

    time.sleep(0.5)
    assert statuses_of(run) == ["NotStarted", "Queued", "Failed"]
