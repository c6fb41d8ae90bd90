"""`runlore repair`: what it finds, and the two ways to make a copy a workspace again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from tests.cli.shell import runlore
from tests.workspaces import start


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """A copy of a workspace, made while a run of it was executing."""
    with Workspace.create("lab", path=tmp_path / "lab") as workspace:
        start(Experiment(workspace, "e"), run_id="training").log("loss", 0.5)
        yield shutil.copytree(tmp_path / "lab", tmp_path / "copy")


def test_without_an_option_it_says_what_it_found(copy: Path) -> None:
    ran = runlore("repair", "-w", str(copy), cwd=copy)

    assert ran.data["is_copy"] is True
    [writer] = ran.data["writers"]
    assert writer["is"] == "unknown" and writer["why"].startswith("copied workspace: ")
    assert ran.data["writers_with_waiting_values"] == [writer["id"]]
    assert "Use --adopt" in ran.err
    shown = runlore("run", "show", "-r", "training", "-w", str(copy), cwd=copy)
    assert shown.data["status"] == "unknown (copied workspace)"


def test_adopt_makes_it_a_workspace_of_its_own(copy: Path) -> None:
    before = runlore("repair", "-w", str(copy), cwd=copy).data["workspace_id"]
    ran = runlore("repair", "--adopt", "--note", "for the paper", "-w", str(copy), cwd=copy)

    assert ran.data["workspace_id"] != before and before in ran.err
    assert ran.data["is_copy"] is False
    assert runlore("repair", "-w", str(copy), cwd=copy).data["writers"] == []


def test_moved_loses_the_runs_of_the_original(copy: Path) -> None:
    ran = runlore("repair", "--moved", "-w", str(copy), cwd=copy)

    assert ran.data["lost_runs"] == ["training"] and ran.data["is_copy"] is False
    shown = runlore("run", "show", "-r", "training", "-w", str(copy), cwd=copy)
    assert shown.data["status"] == "Failed"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--adopt", "--moved"), "exclude each other"),
        (("--note", "x"), "belongs to --adopt"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    copy: Path, options: tuple[str, ...], message: str
) -> None:
    ran = runlore("repair", *options, "-w", str(copy), cwd=copy, code=2)

    assert message in ran.err
