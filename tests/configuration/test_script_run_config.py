from __future__ import annotations

import copy
import re
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runlore import Environment, RunConfiguration, ScriptRunConfig
from runlore.configuration.content import content_of
from runlore.exceptions import RunConfigurationException, UserErrorException
from runlore.runconfig import (
    DockerConfiguration,
    MpiConfiguration,
    PyTorchConfiguration,
    TensorflowConfiguration,
)
from runlore.script_run_config import get_run_config_from_script_run

two: Any = "2"


class Target:
    def __init__(self, name: object) -> None:
        self.name = name


class Mode(str, Enum):  # noqa: UP042 - the kind whose str() is not its value
    FAST = "fast"


# --- what runs --------------------------------------------------------------------------------


def test_a_script_runs_locally_for_at_most_30_days_unless_said_otherwise() -> None:
    src = ScriptRunConfig(".", "train.py")

    assert (src.script, src.arguments, src.command) == ("train.py", [], None)
    assert (src.compute_target, src.run_config.target) == ("local", "local")
    assert src.max_run_duration_seconds == src.run_config.max_run_duration_seconds == 2592000


def test_a_source_directory_need_not_be_there_yet() -> None:
    assert ScriptRunConfig(Path("not") / "yet", "train.py").source_directory == "not/yet"


def test_arguments_become_the_texts_of_a_command_line() -> None:
    arguments = ["--a", 1, 0.5, Path("x/y"), np.float64(0.25), np.int64(3), True, Mode.FAST]

    src = ScriptRunConfig(".", "train.py", arguments)

    assert src.arguments == ["--a", "1", "0.5", "x/y", "0.25", "3", "True", "fast"]
    assert all(type(argument) is str for argument in src.arguments)


@pytest.mark.parametrize("command", ["ls -l", ["ls", "-l"]])
def test_a_command_runs_in_place_of_a_script(command: str | list[str]) -> None:
    src = ScriptRunConfig(".", command=command)

    assert (src.command, src.script) == (command, None)


@pytest.mark.parametrize("target", ["gpu", Target("gpu")])
def test_a_target_is_an_object_or_a_name(target: object) -> None:
    src = ScriptRunConfig(".", "train.py", compute_target=target)

    assert src.compute_target == src.run_config.target == "gpu"


def test_the_parts_are_put_into_the_run_configuration() -> None:
    environment, docker = Environment("e"), DockerConfiguration()

    run_config = ScriptRunConfig(
        ".",
        "train.py",
        environment=environment,
        docker_runtime_config=docker,
        max_run_duration_seconds=60,
    ).run_config

    assert run_config.environment is environment
    assert run_config.docker is docker
    assert run_config.max_run_duration_seconds == 60


def test_no_limit_of_time_can_be_asked_for() -> None:
    src = ScriptRunConfig(".", "train.py", max_run_duration_seconds=None)

    assert src.run_config.max_run_duration_seconds is None


# --- distributed jobs -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job", "section", "framework", "communicator", "node_count"),
    [
        (MpiConfiguration(4, 2), "mpi", "Python", "IntelMpi", 2),
        (PyTorchConfiguration("Gloo", 4, 2), "pytorch", "PyTorch", "gloo", 2),
        (PyTorchConfiguration(process_count=4), "pytorch", "PyTorch", "nccl", 1),
        (TensorflowConfiguration(3, 1), "tensorflow", "TensorFlow", "ParameterServer", 3),
    ],
    ids=["mpi", "gloo", "nccl", "tensorflow"],
)
def test_a_distributed_job_sets_what_azure_sets(
    job: object, section: str, framework: str, communicator: str, node_count: int
) -> None:
    run_config = ScriptRunConfig(".", "train.py", distributed_job_config=job).run_config

    assert getattr(run_config, section) is job
    assert (run_config.framework, run_config.communicator) == (framework, communicator)
    assert run_config.node_count == node_count


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MpiConfiguration(0), "process_count_per_node of MPI must be a whole number from"),
        (lambda: MpiConfiguration(1, 0), "node_count of MPI must be a whole number from 1, found"),
        (lambda: PyTorchConfiguration(process_count=0), "process_count of PyTorch must be a whole"),
        (lambda: PyTorchConfiguration("nccl", process_count=two), "found '2' (str)"),
        (lambda: PyTorchConfiguration("mpi"), "must be 'Nccl' or 'Gloo', found 'mpi'"),
        (lambda: TensorflowConfiguration(0), "worker_count of TensorFlow must be a whole number"),
        (lambda: TensorflowConfiguration(1, -1), "parameter_server_count of TensorFlow must be"),
    ],
)
def test_a_job_without_processes_is_refused(make: Any, message: str) -> None:
    with pytest.raises(RunConfigurationException, match=re.escape(message)):
        make()


def test_a_job_that_was_changed_to_nonsense_is_refused() -> None:
    job = PyTorchConfiguration(process_count=2)
    job.process_count = 0

    with pytest.raises(RunConfigurationException, match="process_count of PyTorch must be"):
        ScriptRunConfig(".", "train.py", distributed_job_config=job)


# --- with a run configuration -----------------------------------------------------------------


def test_a_run_configuration_says_what_the_arguments_leave_open() -> None:
    run_config = RunConfiguration("train.py", ["--a"])

    src = ScriptRunConfig(".", run_config=run_config)

    assert src.run_config is run_config
    assert (src.script, src.arguments) == ("train.py", ["--a"])


def test_own_script_and_arguments_win_and_leave_the_run_configuration_alone() -> None:
    run_config = RunConfiguration("train.py", ["--a"])

    first = ScriptRunConfig(".", "a.py", [1], run_config=run_config)
    second = ScriptRunConfig(".", "b.py", [2], run_config=run_config)

    assert (first.script, first.arguments) == ("a.py", ["1"])
    assert (second.script, second.arguments) == ("b.py", ["2"])
    assert (run_config.script, run_config.arguments) == ("train.py", ["--a"])


def test_an_own_script_wins_over_a_command_and_the_other_way_round() -> None:
    script = ScriptRunConfig(".", "a.py", run_config=RunConfiguration(command="ls"))
    command = ScriptRunConfig(".", command="ls", run_config=RunConfiguration("a.py", ["--a"]))

    assert (script.script, script.command) == ("a.py", None)
    assert (command.script, command.arguments, command.command) == (None, [], "ls")


def test_a_run_configuration_can_still_be_changed() -> None:
    run_config = RunConfiguration()
    src = ScriptRunConfig(".", "a.py", run_config=run_config)
    run_config.target = "gpu"

    assert src.compute_target == get_run_config_from_script_run(src).target == "gpu"


def test_arguments_that_the_run_configuration_overrides_are_named_in_a_warning() -> None:
    run_config = RunConfiguration()

    with pytest.warns(UserWarning, match="run_config was given, so ") as warned:
        ScriptRunConfig(
            ".",
            "train.py",
            run_config=run_config,
            compute_target="gpu",
            environment=Environment("e"),
            distributed_job_config=MpiConfiguration(2),
            docker_runtime_config=DockerConfiguration(),
            max_run_duration_seconds=60,
        )

    message = str(warned[0].message)
    for name in (
        "compute_target",
        "environment",
        "distributed_job_config",
        "docker_runtime_config",
    ):
        assert name in message
    assert "max_run_duration_seconds is ignored" in message
    assert content_of(run_config) == content_of(RunConfiguration())


def test_another_run_configuration_can_be_set() -> None:
    src = ScriptRunConfig(".", "a.py", ["--a"])
    src.run_config = RunConfiguration("b.py")

    assert (src.script, src.arguments) == ("a.py", ["--a"])


# --- what is submitted ------------------------------------------------------------------------


def test_what_is_submitted_is_a_copy_with_everything_in_place() -> None:
    shared = RunConfiguration("train.py", ["--a"])
    src = ScriptRunConfig(".", "a.py", [1], run_config=shared)

    submitted = get_run_config_from_script_run(src)
    submitted.environment.environment_variables["A"] = "b"

    assert (submitted.script, submitted.arguments, submitted.command) == ("a.py", ["1"], None)
    assert shared.environment.environment_variables == {}


@pytest.mark.parametrize("given", [None, RunConfiguration("b.py", ["--b"])], ids=["alone", "given"])
def test_attributes_set_later_are_what_is_submitted(given: RunConfiguration | None) -> None:
    src = ScriptRunConfig(".", "a.py", ["--a"], run_config=copy.deepcopy(given))
    src.script = "c.py"
    src.arguments = ["--c", 1]
    src.compute_target = Target("gpu")
    src.max_run_duration_seconds = 5

    submitted = get_run_config_from_script_run(copy.deepcopy(src))

    assert (submitted.script, submitted.arguments) == ("c.py", ["--c", "1"])
    assert (submitted.target, submitted.max_run_duration_seconds) == ("gpu", 5)


def test_what_is_set_on_its_run_configuration_is_what_is_submitted() -> None:
    src = ScriptRunConfig(".", "a.py", ["--a"])
    src.run_config.arguments = ["--b", 2]  # type: ignore[list-item]  # numbers are taken
    src.run_config.environment_variables = {"A": 1}  # type: ignore[dict-item]  # likewise

    submitted = get_run_config_from_script_run(src)

    assert submitted.arguments == ["--b", "2"]
    assert submitted.environment_variables == {"A": "1"}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("node_count", 0, "node_count must be a whole number from 1, found 0 (int)"),
        ("arguments", "--a", "arguments must be a list, found '--a' (str)"),
        ("environment_variables", {"A": None}, "environment_variables[A] must be a string"),
        ("environment_variables", None, "environment_variables must be a mapping"),
        ("environment", None, "environment must be a section, found nothing"),
        ("max_run_duration_seconds", "1h", "max_run_duration_seconds must be a whole number"),
    ],
)
def test_nonsense_set_later_is_refused_when_it_is_submitted(
    name: str, value: object, message: str
) -> None:
    src = ScriptRunConfig(".", "a.py")
    setattr(src.run_config, name, value)

    with pytest.raises(RunConfigurationException, match=re.escape(message)):
        get_run_config_from_script_run(src)


def test_a_script_and_a_command_set_later_are_refused_when_they_are_submitted() -> None:
    src = ScriptRunConfig(".", "a.py")
    src.command = "ls"

    with pytest.raises(UserErrorException, match="script and command cannot be used together"):
        get_run_config_from_script_run(src)


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"script": "a.py", "command": "ls"},
        {"arguments": ["--a"], "command": "ls"},
        {"arguments": ["--a"], "run_config": RunConfiguration(command="ls")},
    ],
)
def test_a_script_and_a_command_together_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UserErrorException, match="and command cannot be used together, found "):
        ScriptRunConfig(".", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arguments": "--a 1"}, "arguments must be a list, found '--a 1' (str); pass a list"),
        ({"arguments": b"a"}, "arguments must be a list, found b'a' (bytes)"),
        ({"arguments": {"a": 1}}, "arguments must be a list, found {'a': 1} (dict)"),
        ({"arguments": 3}, "arguments must be a list, found 3 (int)"),
        (
            {"arguments": [["--a"]]},
            "arguments[0] must be a string, a number or a path, found ['--a']",
        ),
        (
            {"arguments": ["--a", None]},
            "arguments[1] must be a string, a number or a path, found no",
        ),
        ({"arguments": ["a\0b"]}, "arguments[0] must be a string without NUL characters"),
        ({"script": 3}, "script must be a string, found 3 (int)"),
        ({"command": 3}, "command must be a list, found 3 (int)"),
        ({"compute_target": 3}, "the compute target must be a ComputeTarget or its name, found 3"),
        ({"compute_target": ""}, "the compute target must be a ComputeTarget or its name"),
        ({"compute_target": Target(3)}, "the compute target must be a ComputeTarget or its name"),
        ({"environment": "e"}, "environment must be an Environment, found 'e' (str)"),
        ({"run_config": "train"}, "run_config must be a RunConfiguration, found 'train' (str)"),
        ({"docker_runtime_config": True}, "docker_runtime_config must be a DockerConfiguration"),
        ({"max_run_duration_seconds": 0}, "max_run_duration_seconds must be a whole number from 1"),
        ({"max_run_duration_seconds": 1.5}, "max_run_duration_seconds must be a whole number from"),
        ({"max_run_duration_seconds": True}, "max_run_duration_seconds must be a whole number"),
    ],
)
def test_a_wrong_value_says_what_was_found_and_expected(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RunConfigurationException, match=re.escape(message)):
        ScriptRunConfig(".", **options)


def test_a_source_directory_that_is_no_path_is_refused() -> None:
    with pytest.raises(RunConfigurationException, match="source_directory must be the path of a"):
        ScriptRunConfig(None)  # type: ignore[arg-type]  # the mistake


def test_a_run_configuration_cannot_be_taken_away() -> None:
    src = ScriptRunConfig(".", "a.py")

    with pytest.raises(RunConfigurationException, match="run_config must be a RunConfiguration"):
        src.run_config = None  # type: ignore[assignment]  # the mistake
