"""Names that experiments and workspaces get where the user gives none."""

from __future__ import annotations

import pytest

from runlore.domain.ids import check_experiment_name, check_workspace_name
from runlore.entry.default_names import (
    experiment_of_folder,
    experiment_of_script,
    workspace_of_folder,
)


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["/a/b/train.py"], "train"),
        (["-c"], "interactive"),
        (["-m"], "interactive"),
        ([""], "interactive"),
        ([], "interactive"),
        (["___.py"], "interactive"),
        (["ключ.py"], "interactive"),
        (["9.py"], "9"),
        (["a" * 300 + ".py"], "a" * 255),
    ],
)
def test_any_script_gives_a_name_that_an_experiment_can_have(argv: list[str], name: str) -> None:
    assert check_experiment_name(experiment_of_script(argv)) == name


@pytest.mark.parametrize(
    ("folder", "name"),
    [("lab", "lab"), ("", "experiment"), ("my lab!", "my-lab-"), ("x" * 300, "x" * 255)],
)
def test_any_folder_gives_a_name_that_an_experiment_can_have(folder: str, name: str) -> None:
    assert check_experiment_name(experiment_of_folder(folder)) == name


@pytest.mark.parametrize(
    ("folder", "name"),
    [("lab", "lab"), ("a", "a--"), ("", "workspace"), ("my lab!", "my-lab-"), ("x" * 50, "x" * 33)],
)
def test_any_folder_gives_a_name_that_a_workspace_can_have(folder: str, name: str) -> None:
    assert check_workspace_name(workspace_of_folder(folder)) == name
