from __future__ import annotations

import json
from pathlib import Path

import pytest

from runlore import RunConfiguration, Workspace
from runlore.domain.errors import ExperimentNotFound, InvalidInput, UserError
from runlore.entry.attached_folder import attach, attached_experiment


def test_attach_remembers_the_experiment(project: Path) -> None:
    attach(project, "lab", experiment_name="first")
    assert attached_experiment(project) == "first"

    attach(project, "lab", experiment_name="second")
    below = project / "src"
    below.mkdir()
    assert attached_experiment(below) == "second"


def test_without_an_attached_folder_there_is_no_experiment(project: Path) -> None:
    with pytest.raises(ExperimentNotFound, match="--experiment-name"):
        attached_experiment(project)
    Workspace.create("lab").write_config(project)
    with pytest.raises(UserError, match="folder attach"):
        attached_experiment(project)


def test_attach_writes_a_runconfig_per_compute_target(project: Path) -> None:
    from runlore import ComputeTarget

    with Workspace.create("lab") as ws:
        ComputeTarget.attach(ws, "pool", slots=1)

    attach(project, "lab")

    assert RunConfiguration.load(project, "pool").target == "pool"
    assert RunConfiguration.load(project, "local").target == "local"


@pytest.mark.parametrize(
    ("name", "experiment"), [("a b", None), ("lab", " "), ("mysql://host/db", None)]
)
def test_attach_with_a_bad_name_makes_nothing(
    project: Path, name: str, experiment: str | None
) -> None:
    with pytest.raises(InvalidInput):
        attach(project, name, experiment_name=experiment)

    assert list(project.iterdir()) == []


def test_attach_takes_the_folder_of_a_workspace(project: Path, folder_ws: Workspace) -> None:
    attached = attach(project, str(folder_ws.path))

    assert attached["Workspace name"] == "lab"
    assert Workspace.from_config(project).path == folder_ws.path


def test_attach_creates_a_workspace_in_the_folder_of_a_uri(project: Path) -> None:
    attached = attach(project, f"sqlite://{project}/data/my%20lab")

    assert attached["Workspace name"] == "my-lab"
    assert Workspace.from_config(project).path == project / "data" / "my lab"


def test_attach_needs_a_folder(project: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        attach(project / "missing", "lab")


def test_a_damaged_config_is_named(project: Path) -> None:
    (project / "config.json").write_text("{")

    with pytest.raises(UserError, match=r"config\.json"):
        attached_experiment(project)


def test_from_config_ignores_the_experiment(project: Path) -> None:
    attach(project, "lab", experiment_name="first")

    assert Workspace.from_config(project).name == "lab"
    assert json.loads((project / ".azureml" / "config.json").read_text())["Path"] == "lab"
