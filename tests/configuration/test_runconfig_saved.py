from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import pytest
from hypothesis import given

from runlore import CondaDependencies, Environment, RunConfiguration
from runlore.configuration.content import content_of
from runlore.exceptions import RunConfigurationException
from runlore.runconfig import DockerConfiguration
from tests.configuration.runconfigs import AZURES_FILE, loaded, run_configs, written


def test_a_saved_file_is_in_azures_folder_with_azures_keys(project: Path) -> None:
    (project / ".azureml").mkdir()

    RunConfiguration("train.py", ["--a", 1]).save(project, "train")

    lines = (project / ".azureml" / "train").read_text().splitlines()
    assert "command: ''" in lines
    assert lines[:3] == ["script: train.py", "arguments:", "- --a"]
    azures = [line.split(":")[0] for line in AZURES_FILE.read_text().splitlines()]
    assert [line for line in lines if line[0] != "-" and line.split(":")[0] not in azures] == []
    assert (project / ".azureml" / "conda_dependencies.yml").is_file()


def test_a_path_can_be_a_file(project: Path) -> None:
    RunConfiguration("a.py").save(project / "my.runconfig")

    assert RunConfiguration.load(project / "my.runconfig").script == "a.py"
    assert (project / "conda_dependencies.yml").is_file()


def test_the_old_folder_is_used_where_it_is_the_only_one(project: Path) -> None:
    (project / "aml_config").mkdir()

    RunConfiguration("a.py").save(name="train")

    assert (project / "aml_config" / "train").is_file()


@pytest.mark.parametrize("place", [".azureml/train", ".azureml/train.runconfig", "train.runconfig"])
def test_what_was_loaded_is_saved_where_it_was(project: Path, place: str) -> None:
    file = project / place
    file.parent.mkdir(exist_ok=True)
    file.write_text("script: a.py")
    run_config = RunConfiguration.load(project, "train")
    run_config.script = "b.py"

    run_config.save()

    assert RunConfiguration.load(file).script == "b.py"


def test_what_was_loaded_by_its_file_is_saved_there(project: Path) -> None:
    written(project, "dependencies: [numpy]\n", "conda_dependencies.yml")
    run_config = RunConfiguration.load(written(project, AZURES_FILE.read_text()))
    run_config.script = "b.py"

    run_config.save()

    assert RunConfiguration.load(project, "train").script == "b.py"


def test_the_environment_can_be_saved_apart(project: Path) -> None:
    (project / ".azureml").mkdir()
    run_config = RunConfiguration()
    run_config.environment = Environment("training")

    run_config.save(project, "train", separate_environment_yaml=True)

    text = (project / ".azureml" / "train").read_text()
    assert "\nenvironment: .azureml/environment.yml\n" in text
    assert RunConfiguration.load(project, "train").environment.name == "training"


def test_a_conda_file_that_is_there_is_kept_and_a_difference_warned_about(project: Path) -> None:
    conda = written(project, "dependencies: [numpy]\n", "conda_dependencies.yml")
    run_config = RunConfiguration(
        conda_dependencies=CondaDependencies.create(pip_packages=["polars"])
    )

    with pytest.warns(UserWarning, match="lists other packages"):
        run_config.save(project, "train")

    assert conda.read_text() == "dependencies: [numpy]\n"


def test_a_missing_folder_is_a_file_not_found(project: Path) -> None:
    with pytest.raises(FileNotFoundError, match="the folder .*azureml does not exist; create it"):
        RunConfiguration().save(project, "train")
    with pytest.raises(RunConfigurationException, match="the folder does not exist; create it"):
        RunConfiguration().save(project / "gone", "train")


@pytest.mark.parametrize("name", [None, "", "a/b", ".."])
def test_a_name_that_is_no_files_is_refused(project: Path, name: str | None) -> None:
    with pytest.raises(RunConfigurationException, match="saved under a file's name"):
        RunConfiguration().save(project, name)


def test_a_conda_file_is_not_written_outside_of_the_project(project: Path) -> None:
    with pytest.warns(UserWarning, match="which is not in"):
        run_config = loaded(
            project, "environment: {python: {condaDependenciesFile: ../outside.yml}}"
        )

    with pytest.raises(RunConfigurationException, match="must be a path inside"):
        run_config.save()

    assert not (project.parent / "outside.yml").exists()


def test_a_value_that_cannot_be_is_not_saved(project: Path) -> None:
    file = written(project, "script: a.py")
    run_config = RunConfiguration.load(file)
    run_config.history.output_collection = "yes"  # type: ignore[assignment]  # the mistake

    with pytest.raises(RunConfigurationException, match=r"history.output_collection must be true"):
        run_config.save()

    assert file.read_text() == "script: a.py"


def test_docker_as_set_is_saved(project: Path) -> None:
    run_config = RunConfiguration()
    run_config.docker = DockerConfiguration(True)
    run_config.save(project / "my.runconfig")

    with pytest.warns(UserWarning, match="docker.useDocker"):
        assert RunConfiguration.load(project / "my.runconfig").docker == run_config.docker


# --- round trips ------------------------------------------------------------------------------


def test_azures_file_keeps_all_that_it_says(project: Path) -> None:
    written(project, "dependencies: [python=3.8]\n", "conda_dependencies.yml")
    run_config = loaded(project, AZURES_FILE.read_text())
    before = content_of(run_config)

    run_config.save()

    assert content_of(RunConfiguration.load(project, "train")) == before
    assert set(before) == {
        line.split(":")[0] for line in AZURES_FILE.read_text().splitlines() if line[0] not in "#- "
    }


@given(run_configs())
def test_saving_and_loading_gives_the_same_again(run_config: RunConfiguration) -> None:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first, second = Path(folder, "first"), Path(folder, "second")
        run_config.save(first)

        again = RunConfiguration.load(first)
        again.save(second)

        assert second.read_text() == first.read_text()
        run_config.environment.python.conda_dependencies_file = "conda_dependencies.yml"
        assert content_of(again) == content_of(run_config)
