from __future__ import annotations

import copy
from pathlib import Path

import pytest

from runlore import CondaDependencies, RunConfiguration
from runlore.configuration.content import content_of
from runlore.exceptions import (
    RunConfigurationFileNotFound,
    UserErrorException,
)
from runlore.runconfig import HistoryConfiguration
from tests.configuration.runconfigs import AZURES_FILE, loaded, written

# --- the object -------------------------------------------------------------------------------


def test_a_new_configuration_runs_here_and_keeps_outputs_and_source() -> None:
    run_config = RunConfiguration()

    assert (run_config.target, run_config.node_count) == ("local", 1)
    assert run_config.history == HistoryConfiguration(True, True, ["logs"])
    assert run_config.environment.python.interpreter_path == "python"
    assert run_config.command is None
    assert run_config.max_run_duration_seconds is None


def test_two_configurations_share_nothing() -> None:
    first, second = RunConfiguration(), RunConfiguration()
    first.history.directories_to_watch.append("more")
    first.environment.environment_variables["A"] = "b"
    first.arguments.append("--x")

    assert content_of(second) == content_of(RunConfiguration())


def test_a_deep_copy_stands_alone() -> None:
    run_config = RunConfiguration("train.py", ["--a"])
    copied = copy.deepcopy(run_config)
    copied.environment.python.interpreter_path = "other"
    copied.arguments.append("--b")

    assert run_config.environment.python.interpreter_path == "python"
    assert run_config.arguments == ["--a"]


def test_arguments_become_texts() -> None:
    arguments = RunConfiguration("train.py", ["--a", 0.5, 3, Path("data/x"), True]).arguments

    assert arguments == ["--a", "0.5", "3", "data/x", "True"]


def test_a_target_can_be_given_as_an_object() -> None:
    run_config = RunConfiguration()
    run_config.target = Target()

    assert run_config.target == "gpu"


class Target:
    name = "gpu"


def test_history_can_be_turned_off_at_once() -> None:
    assert RunConfiguration(_history_enabled=False).history.output_collection is False


def test_dependencies_can_be_given_at_once() -> None:
    dependencies = CondaDependencies.create(pip_packages=["numpy"])

    run_config = RunConfiguration(conda_dependencies=dependencies)

    assert run_config.environment.python.conda_dependencies is dependencies


def test_a_configuration_shows_what_it_runs() -> None:
    assert repr(RunConfiguration("a.py", ["1"])).startswith(
        "RunConfiguration(script='a.py', arguments=['1'], target='local'"
    )
    assert repr(RunConfiguration(command="ls")).startswith("RunConfiguration(command='ls', ")


# --- reading a file ---------------------------------------------------------------------------


def test_a_file_that_azure_saves_is_read_without_a_warning(project: Path) -> None:
    written(project, "dependencies: [python=3.8]\n", "conda_dependencies.yml")

    run_config = loaded(project, AZURES_FILE.read_text())

    assert run_config.target == "local"
    assert run_config.command is None
    assert run_config.environment.environment_variables == {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"}
    assert run_config.environment.python.user_managed_dependencies is False
    assert run_config.environment.python.conda_dependencies.python_version == "3.8"


def test_what_a_file_says_is_in_the_attributes(project: Path) -> None:
    run_config = loaded(
        project,
        """
script: train.py
arguments: [--lr, 0.10, --on, yes]
target: gpu
framework: PyTorch
communicator: gloo
maxRunDurationSeconds: 60
nodeCount: 2
environment:
  name: training
  version: 1.10
  environmentVariables: {OMP_NUM_THREADS: 4}
  python: {interpreterPath: /opt/python, userManagedDependencies: true}
history: {outputCollection: false, snapshotProject: false, directoriesToWatch: [a, b]}
mpi: {processCountPerNode: 3, nodeCount: 2}
pytorch: {communicationBackend: Gloo, processCount: 4, nodeCount: 2}
tensorflow: {workerCount: 2, parameterServerCount: 0}
environmentVariables: {DEBUG: on, EMPTY: ""}
""",
    )

    assert (run_config.script, run_config.target) == ("train.py", "gpu")
    assert run_config.arguments == ["--lr", "0.10", "--on", "yes"]
    assert (run_config.framework, run_config.communicator) == ("PyTorch", "gloo")
    assert (run_config.max_run_duration_seconds, run_config.node_count) == (60, 2)
    assert (run_config.environment.name, run_config.environment.version) == ("training", "1.10")
    assert run_config.environment.environment_variables == {"OMP_NUM_THREADS": "4"}
    assert run_config.environment.python.interpreter_path == "/opt/python"
    assert run_config.history == HistoryConfiguration(False, False, ["a", "b"])
    assert (run_config.mpi.process_count_per_node, run_config.pytorch.process_count) == (3, 4)
    assert run_config.tensorflow.parameter_server_count == 0
    assert run_config.environment_variables == {"DEBUG": "on", "EMPTY": ""}


@pytest.mark.parametrize(
    ("line", "command"),
    [("command: ls -l", "ls -l"), ("command: [ls, 1]", ["ls", "1"]), ("command: ''", None)],
)
def test_a_command_is_a_text_or_a_list(
    project: Path, line: str, command: str | list[str] | None
) -> None:
    assert loaded(project, line).command == command


def test_words_and_times_are_texts_as_in_yaml_1_2(project: Path) -> None:
    file = written(
        project, "target: on\nscript: no\nsourceDirectoryDataStore: yes\nx: [1:30, 010]\n"
    )
    with pytest.warns(UserWarning, match="sourceDirectoryDataStore, x"):
        run_config = RunConfiguration.load(file)

    assert (run_config.target, run_config.script) == ("on", "no")
    assert content_of(run_config)["sourceDirectoryDataStore"] == "yes"
    assert content_of(run_config)["x"] == ["1:30", "010"]


def test_names_with_underscores_are_read(project: Path) -> None:
    run_config = loaded(project, "node_count: 2\nenvironment_variables: {a_b: c}\nhistory:\n")

    assert run_config.node_count == 2
    assert run_config.environment_variables == {"a_b": "c"}


def test_the_names_of_the_first_versions_are_read(project: Path) -> None:
    (project / "conda.yml").write_text("dependencies: [numpy]\n")

    run_config = loaded(
        project,
        "ArgumentVector: [train.py, --a, 1]\nTarget: gpu\nTrackedRun: false\n"
        "EnvironmentVariables: {A: b}\nCondaDependenciesFile: conda.yml\n",
    )

    assert (run_config.script, run_config.arguments) == ("train.py", ["--a", "1"])
    assert run_config.target == "gpu"
    assert run_config.history.output_collection is False
    assert run_config.environment_variables == {"A": "b"}
    assert run_config.environment.python.conda_dependencies.conda_packages == ["numpy"]


def test_the_environment_can_be_a_file_of_its_own(project: Path) -> None:
    written(project, "name: training\nversion: 1.10\n", "environment.yml")

    environment = loaded(project, "environment: .azureml/environment.yml").environment

    assert (environment.name, environment.version) == ("training", "1.10")


def test_dependencies_can_be_in_the_file(project: Path) -> None:
    run_config = loaded(
        project, "environment: {python: {condaDependencies: {dependencies: [numpy]}}}"
    )

    assert run_config.environment.python.conda_dependencies.conda_packages == ["numpy"]


@pytest.mark.parametrize(
    "place", [".azureml/train", ".azureml/train.runconfig", "aml_config/train", "train.runconfig"]
)
def test_a_name_is_found_where_azure_looks(project: Path, place: str) -> None:
    file = project / place
    file.parent.mkdir(exist_ok=True)
    file.write_text("script: a.py")

    assert RunConfiguration.load(project, "train").script == "a.py"
    assert RunConfiguration.load(name="train").script == "a.py"
    assert RunConfiguration.load(file).script == "a.py"


def test_the_extension_of_a_path_can_be_left_out(project: Path) -> None:
    (project / "train.runconfig").write_text("script: a.py")

    assert RunConfiguration.load(project / "train").script == "a.py"


def test_a_name_that_is_nowhere_says_where_it_was_looked_for(project: Path) -> None:
    with pytest.raises(UserErrorException, match="Failed to load RunConfiguration") as raised:
        RunConfiguration.load(project, "train")

    assert isinstance(raised.value, RunConfigurationFileNotFound)
    assert isinstance(raised.value, FileNotFoundError)
    assert str(project / ".azureml" / "train.runconfig") in str(raised.value)


# --- what is not done -------------------------------------------------------------------------


def test_what_is_kept_but_not_used_is_named_in_one_warning(project: Path) -> None:
    with pytest.warns(UserWarning, match="asks for features that runlore does not have") as warned:
        loaded(
            project,
            "docker: {useDocker: true, shmSize: 8g}\npriority: 5\nzones: [a]\nnothing:\n"
            "amlcompute: {vmSize: big}\nenvironment: {docker: {baseImage: mine:1}}\n",
        )

    [warning] = warned
    named = str(warning.message).split("does not have: ")[1].split("; ")[0]
    assert set(named.split(", ")) == {
        "docker.useDocker",
        "docker.shmSize",
        "priority",
        "zones",
        "amlcompute.vmSize",
        "environment.docker.baseImage",
    }
    assert warning.filename.endswith("runconfigs.py")


def test_a_conda_file_that_is_missing_is_warned_about(project: Path) -> None:
    with pytest.warns(UserWarning, match=r"names the conda file 'gone.yml', which is not in"):
        loaded(project, "environment: {python: {condaDependenciesFile: gone.yml}}")
