from __future__ import annotations

from pathlib import Path

import pytest

from runlore import Workspace
from runlore.domain.errors import InvalidInput, WorkspaceNotFound
from runlore.entry.workspace_address import create_workspace, find_workspace, open_workspace


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


def test_a_workspace_is_found_unopened(project: Path) -> None:
    Workspace.create("lab", path=project / "elsewhere").write_config(project)
    Workspace.create("other").close()

    assert find_workspace(project).folder == project / "elsewhere"
    assert find_workspace(project, "lab").folder == project / "elsewhere"
    assert find_workspace(project, "other").folder == project / "other"
    with pytest.raises(WorkspaceNotFound, match="no workspace 'third'"):
        find_workspace(project, "third")


def test_a_folder_is_relative_to_the_working_folder_and_a_name_to_the_project(
    project: Path,
) -> None:
    (project / "sub").mkdir()
    Workspace.create("lab", path="sub/lab").close()
    Workspace.create("lab", path="lab").close()

    assert open_workspace("sub", "lab").path == project / "sub" / "lab"
    assert open_workspace("sub", "./lab").path == project / "lab"


def test_a_workspace_is_created_in_the_folder_of_its_name_below_the_project(
    project: Path,
) -> None:
    (project / "sub").mkdir()

    assert create_workspace("sub", "lab").path == project / "sub" / "lab"
    assert create_workspace("sub", "other", folder="else").path == project / "else"


def test_a_workspace_of_two_folders_is_refused(project: Path) -> None:
    with pytest.raises(InvalidInput, match="has two folders"):
        create_workspace(project, "./lab", folder="other")

    assert list(project.iterdir()) == []
