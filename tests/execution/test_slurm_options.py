"""What a target of kind `slurm` takes, and what it makes of it; `make test-slurm` submits it."""

from __future__ import annotations

from typing import Any

import pytest

from runlore.exceptions import ComputeTargetException
from runlore.execution.targets.engines.engine import Job
from runlore.execution.targets.engines.slurm import Slurm
from runlore.execution.targets.kinds import kind_of

JOB = Job(
    run_id="r1", name="runlore-r1", words=("python", "-m", "x"), environment={}, output="/h/r1.txt"
)


def options(settings: dict[str, Any], **changes: Any) -> list[str]:
    """The options of sbatch for a job, without those that are always the same."""
    job = Job(**{**JOB.__dict__, **changes})
    return Slurm(Slurm.checked(settings)).options(job)[3:]


def test_settings_become_options_of_sbatch() -> None:
    settings = {"partition": "gpu", "gpus": 2, "time_limit": "1:30:00", "extra_args": ["--mem=8G"]}

    assert options(settings) == [
        *("--job-name=runlore-r1", "--output=/h/r1.txt", "--nodes=1"),
        *("--partition=gpu", "--gpus=2", "--time=1:30:00", "--mem=8G"),
    ]


def test_nodes_and_the_longest_duration_become_options() -> None:
    found = options({}, node_count=3, max_run_duration_s=600.0)

    assert "--nodes=3" in found
    assert "--time=12" in found  # 10 minutes, 10 s from TERM to KILL, and a minute to spare.


def test_a_duration_that_nobody_chose_sets_no_limit() -> None:
    assert not [word for word in options({}, max_run_duration_s=2_592_000.0) if "--time" in word]


def test_a_time_limit_of_the_target_stands_above_that_of_the_run() -> None:
    assert "--time=5" in options({"time_limit": 5}, max_run_duration_s=86_400.0)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"partitions": "gpu"}, "has no setting 'partitions'; it takes partition, gpus"),
        ({"partition": ""}, "partition is ''"),
        ({"gpus": "two"}, "gpus is 'two'"),
        ({"gpus": True}, "gpus is True"),
        ({"time_limit": "soon"}, "time_limit is 'soon'"),
        ({"extra_args": "--mem=8G"}, "takes a list of options"),
        ({"extra_args": ["--export=ALL"]}, "leave out --parsable, --export"),
        ({"extra_args": ["--mem", "8G"]}, "one word each"),
        ({"extra_args": ["--comment=token=ghp_" + "a" * 36]}, "looks like a secret"),
        ({"heartbeat_s": 0}, "heartbeat_s is 0"),
        ({"handover": "here"}, "absolute path"),
        ({"this_machine": "yes"}, "it takes a bool"),
    ],
)
def test_a_setting_that_cannot_be_used_says_why(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ComputeTargetException, match=problem):
        kind_of("slurm").checked(settings)


@pytest.mark.parametrize("handle", ["--all", "1 2", "", "4711_1", "$(id)"])
def test_a_handle_from_a_log_is_never_an_option_of_a_command(handle: str) -> None:
    with pytest.raises(ComputeTargetException, match="is not the id of a Slurm job"):
        Slurm({}).cancel(handle)
