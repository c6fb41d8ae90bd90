"""Runs on a node that dies, or that a more urgent job needs."""

from __future__ import annotations

import pytest

from runlore.testing.submitted import (
    STAYS,
    Project,
    printed,
    statuses_of,
    wait_for_status,
    wait_until_gone,
    wait_until_ready,
)
from runlore.testing.waiting import wait_until
from tests.slurm.cluster import Cluster
from tests.slurm.jobs import ATTEMPTS, attach, error_of, slurm_says

pytestmark = pytest.mark.processes


def test_a_preempted_job_waits_again_and_then_completes(project: Project) -> None:
    attach(project, partition="spare")
    run = project.submit(ATTEMPTS)
    wait_until_ready(run)

    urgent = ["sbatch", "--parsable", "--partition=urgent", "--exclusive", "--output=/dev/null"]
    slurm_says(*urgent, "--wrap=sleep 2")

    wait_until(lambda: "NotResponding" in statuses_of(run), "the preemption")
    wait_for_status(run, "Completed")
    assert printed(run).endswith("attempt 1\n")


def test_a_run_on_a_node_that_dies_starts_again_when_slurm_does(
    project: Project, slurm: Cluster
) -> None:
    attach(project, partition="spare")
    run = project.submit(ATTEMPTS)
    wait_until_ready(run)

    slurm.kill_node("n2")
    try:
        wait_for_status(run, "Queued")
    finally:
        slurm.start_node("n2")

    wait_until(lambda: run.get_status() == "Completed", "the second attempt", limit_s=120)
    assert printed(run).endswith("attempt 1\n")


def test_a_run_on_a_node_that_dies_fails_if_it_is_not_to_be_started_again(
    project: Project, slurm: Cluster
) -> None:
    attach(project, partition="spare", extra_args=["--no-requeue"])
    run = project.submit(STAYS)
    wait_until_ready(run)

    slurm.kill_node("n2")
    try:
        wait_for_status(run, "Failed")
    finally:
        slurm.start_node("n2")

    assert error_of(run)["code"] == "NodeFailed"
    wait_until_gone(run)
