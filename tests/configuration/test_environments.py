"""`Environment` and `CondaDependencies`: kept as data, from and to the files that others read."""

from __future__ import annotations

from pathlib import Path

import pytest

from runlore import CondaDependencies, Environment
from runlore.exceptions import RunConfigurationException, RunConfigurationFileNotFound

CONDA_FILE = """
name: training
channels: [conda-forge]
dependencies:
- python=3.11
- numpy>=1.26
- pip
- pip:
  - --no-index
  - polars==1.0
variables: {A: b}
"""


def test_a_conda_file_is_read_into_lists(project: Path) -> None:
    (project / "conda.yml").write_text(CONDA_FILE)

    dependencies = CondaDependencies(project / "conda.yml")

    assert dependencies.python_version == dependencies.get_python_version() == "3.11"
    assert dependencies.channels == dependencies.conda_channels == ["conda-forge"]
    assert dependencies.conda_packages == ["numpy>=1.26", "pip"]
    assert dependencies.pip_packages == ["polars==1.0"]
    assert dependencies.pip_options == ["--no-index"]


def test_a_conda_file_is_saved_as_it_was_read(project: Path) -> None:
    (project / "conda.yml").write_text(CONDA_FILE)
    dependencies = CondaDependencies(project / "conda.yml")

    dependencies.save(project / "again.yml")

    again = CondaDependencies(project / "again.yml")
    assert again.as_dict() == dependencies.as_dict()
    assert again.as_dict()["variables"] == {"A": "b"}
    assert again.serialize_to_string() == (project / "again.yml").read_text()


def test_dependencies_are_saved_beside_the_run_configurations(project: Path) -> None:
    (project / ".azureml").mkdir()

    path = CondaDependencies.create(conda_packages=["numpy"]).save_to_file(project)

    assert CondaDependencies(project / path).conda_packages == ["numpy"]


def test_a_package_replaces_its_other_versions() -> None:
    dependencies = CondaDependencies.create(
        "https://index.example", ["My_pkg==1", "other"], ["python=3.12", "numpy", "numpy"]
    )
    dependencies.add_pip_package("my-pkg==2")
    dependencies.remove_pip_package("other>=1")
    dependencies.remove_conda_package("numpy")
    dependencies.add_channel("a")
    dependencies.add_channel("a")
    dependencies.add_channel("b")
    dependencies.remove_channel("b")

    assert dependencies.as_dict() == {
        "channels": ["a"],
        "dependencies": [
            "python=3.12",
            {"pip": ["--find-links https://index.example", "my-pkg==2"]},
        ],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dependencies: numpy", "dependencies must be a list, found 'numpy'"),
        ("dependencies: [{npm: [a]}]", "dependencies must hold strings such as"),
        ("dependencies: [pip: a]", "pip must be a list, found 'a'"),
        ("channels: [1]", "channels must hold strings such as"),
        ("- numpy", "must hold a mapping"),
    ],
)
def test_what_is_no_conda_file_says_what_it_must_hold(
    project: Path, text: str, message: str
) -> None:
    (project / "conda.yml").write_text(text)

    with pytest.raises(RunConfigurationException, match=message):
        CondaDependencies(project / "conda.yml")


def test_dependencies_are_not_saved_over_a_folder(project: Path) -> None:
    with pytest.raises(RunConfigurationException, match="is a folder; give the path of a file"):
        CondaDependencies().save(project)


def test_an_environment_is_made_from_a_conda_file(project: Path) -> None:
    (project / "conda.yml").write_text(CONDA_FILE)

    environment = Environment.from_conda_specification("training", project / "conda.yml")

    assert environment.name == "training"
    assert environment.python.conda_dependencies.python_version == "3.11"


def test_an_environment_is_made_from_a_requirements_file(project: Path) -> None:
    (project / "requirements.txt").write_text("# ours\nnumpy\n\n--no-index\npolars>=1\n")

    environment = Environment.from_pip_requirements("training", project / "requirements.txt")
    pinned = Environment.from_pip_requirements("training", "requirements.txt", pip_version="24.0")

    assert environment.python.conda_dependencies.pip_packages == ["numpy", "polars>=1"]
    assert environment.python.conda_dependencies.pip_options == ["--no-index"]
    assert environment.python.conda_dependencies.conda_packages == ["pip"]
    assert pinned.python.conda_dependencies.conda_packages == ["pip=24.0"]


def test_a_missing_file_is_named(project: Path) -> None:
    with pytest.raises(RunConfigurationFileNotFound, match=r"file gone.yml does not exist; check"):
        Environment.from_conda_specification("e", "gone.yml")
    with pytest.raises(RunConfigurationFileNotFound, match="no requirements file gone.txt; check"):
        Environment.from_pip_requirements("e", "gone.txt")


def test_a_clone_has_another_name_and_nothing_in_common() -> None:
    environment = Environment("training", version="1")
    cloned = environment.clone("other")
    cloned.environment_variables["A"] = "b"

    assert (cloned.name, cloned.version) == ("other", None)
    assert environment.environment_variables == {}
