from __future__ import annotations

import json
from pathlib import Path

import pytest

from runlore import Experiment, RunConfiguration, Workspace
from runlore.domain.errors import ExperimentNotFound, InvalidInput, UserError, WorkspaceNotFound
from runlore.entry.attached_folder import attach, attached_experiment, open_workspace


def test_the_folder_of_the_name_wins_over_the_config(project: Path) -> None:
    Workspace.create("lab", path=project / "elsewhere").write_config(project)
    Workspace.create("lab", path=project / "lab").close()

    assert open_workspace(project, "lab").path == project / "lab"
    assert open_workspace(project).path == project / "elsewhere"


def test_a_project_that_is_a_workspace_itself_is_found(project: Path) -> None:
    Workspace.create("lab", path=project).close()

    assert open_workspace(project).path == project
    assert open_workspace(project, "lab").path == project


def test_a_config_that_leads_nowhere_is_an_error_unless_a_name_is_given(project: Path) -> None:
    Workspace.create("lab", path=project).close()
    (project / "config.json").write_text('{"Path": "gone"}')

    with pytest.raises(WorkspaceNotFound, match="gone"):
        open_workspace(project)
    assert open_workspace(project, "lab").path == project


def test_a_workspace_of_another_group_is_not_the_one(project: Path) -> None:
    Workspace.create("lab", resource_group="ours", subscription_id="s").close()

    assert open_workspace(project, "lab", resource_group="ours", subscription_id="s").name == "lab"
    with pytest.raises(WorkspaceNotFound, match="resource group 'ours', not 'theirs'"):
        open_workspace(project, "lab", resource_group="theirs")
    with pytest.raises(WorkspaceNotFound, match="subscription 's', not 't'"):
        open_workspace(project, "lab", subscription_id="t")


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
    ("name", "experiment", "error"),
    [("a/b", None, InvalidInput), ("lab", "a b", InvalidInput)],
)
def test_attach_with_a_bad_name_makes_nothing(
    project: Path, name: str, experiment: str | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        attach(project, name, experiment_name=experiment)

    assert list(project.iterdir()) == []


def test_attach_needs_a_folder(project: Path) -> None:
    with pytest.raises(UserError, match="is no folder"):
        attach(project / "missing", "lab")


def test_a_damaged_config_is_named(project: Path) -> None:
    (project / "config.json").write_text("{")

    with pytest.raises(UserError, match=r"config\.json"):
        attached_experiment(project)


def test_the_experiment_does_not_stand_in_the_way_of_from_config(project: Path) -> None:
    attach(project, "lab", experiment_name="first")

    assert Workspace.from_config(project).name == "lab"
    assert json.loads((project / ".azureml" / "config.json").read_text())["Path"] == "lab"


def test_find_creates_no_experiment(folder_ws: Workspace) -> None:
    with pytest.raises(ExperimentNotFound, match="nope"):
        Experiment.find(folder_ws, "nope")

    assert Experiment.list(folder_ws) == []


def test_find_knows_active_and_archived_ones_apart(folder_ws: Workspace) -> None:
    first = Experiment(folder_ws, "e")
    first.archive()
    second = Experiment(folder_ws, "e")

    assert Experiment.find(folder_ws, "e") == second
    assert Experiment.find(folder_ws, "e", archived=True) == first
    second.archive()
    assert Experiment.find(folder_ws, "e", archived=True) == second
