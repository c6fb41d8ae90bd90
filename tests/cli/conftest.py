"""A project with a workspace of interactive runs, for commands that only read."""

from __future__ import annotations

from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.entry.attached_folder import attach


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Attached to `myworkspace` and the experiment `experiment`; tests only read it."""
    folder = tmp_path_factory.mktemp("cli") / "project"
    folder.mkdir()
    fill(folder)
    return folder


@pytest.fixture
def own_project(tmp_path: Path) -> Path:
    """A project like it, for a single test, which may change it."""
    folder = tmp_path / "own"
    folder.mkdir()
    fill(folder)
    return folder


def fill(folder: Path) -> None:
    """Three finished runs (the last with a child that failed), and a running one."""
    attach(folder, "myworkspace", experiment_name="experiment")
    with Workspace.open(folder / "myworkspace") as ws:
        experiment = Experiment(ws, "experiment")
        fantastic = start(experiment, "fantastic", author="azureml-user")
        fantastic.tag("quality", "fantastic run")
        fantastic.log("loss", 0.5)
        fantastic.log("loss", 0.25)
        fantastic.log_row("roc", fpr=0.1, tpr=0.7)
        fantastic.complete()
        poor = start(experiment, "poor", author="azureml-user")
        poor.set_tags({"quality": "poor", "worth another look": None})
        poor.log("loss", float("nan"))
        poor.complete()
        other = start(experiment, "other", author="somebody [else]")
        with other.child_run(run_id="child") as child:
            child.fail("no data")
        other.complete()
        start(experiment, "running")


def start(experiment: Experiment, run_id: str, **properties: str) -> Run:
    """A run that keeps neither files nor a snapshot."""
    run = experiment.start_logging(run_id=run_id, outputs=False, snapshot_directory=None)
    run.add_properties(properties)
    return run
