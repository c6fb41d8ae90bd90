"""What tests of replay and bundles share: a working folder of their own, and small workspaces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Experiment, Workspace


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder is empty, and outside of any repository."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace with a parent, two children and all kinds of things that happen to runs."""
    with Workspace.create("lab", path=tmp_path / "lab") as workspace:
        fill(workspace)
        yield workspace


def fill(workspace: Workspace) -> None:
    """A run with two children, tags, properties, values, files, a snapshot and a refusal."""
    experiment = Experiment(workspace, "trees")
    parent = experiment.start_logging(run_id="parent", outputs=False, snapshot_directory=None)
    Path("train.py").write_text("print('training')\n")
    Path("model.bin").write_bytes(b"the weights")
    parent.take_snapshot(".")
    parent.tag("quality", "poor")
    parent.tag("quality", "fantastic")
    parent.add_properties({"author": "ada"})
    parent.upload_file("outputs/model.bin", "model.bin")
    for number in range(2):
        child = parent.child_run(run_id=f"child-{number}")
        child.log("loss", 0.5 / (number + 1))
        child.log_row("roc", fpr=0.1, tpr=0.7)
        child.complete()
    parent.complete()
    Experiment(workspace, "other").start_logging(
        run_id="elsewhere", outputs=False, snapshot_directory=None
    ).complete()
